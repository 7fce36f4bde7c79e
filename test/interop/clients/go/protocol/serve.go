package protocol

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// Commands that a driver offers.
type Commands struct {
	About         func(*Arguments) (Line, error)
	Produce       func(*Arguments) error
	Consume       func(*Arguments) error
	SeekTimestamp func(*Arguments) error
	Member        func(context.Context, *Arguments) error
	Admin         func(*Arguments) error
}

// Serve runs the command of the command line, and ends the process as the protocol says.
func Serve(commands Commands) {
	if err := run(commands); err != nil {
		Log("%v", err)
		Tell(Line{"error": err.Error()})
		os.Exit(1)
	}
}

func run(commands Commands) error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: %s COMMAND JSON", os.Args[0])
	}
	args, err := parseArguments(os.Args[2])
	if err != nil {
		return err
	}
	switch name := os.Args[1]; name {
	case "about":
		line, err := commands.About(args)
		if err == nil {
			Tell(line)
		}
		return err
	case "produce":
		return commands.Produce(args)
	case "consume":
		return commands.Consume(args)
	case "seek-timestamp":
		return commands.SeekTimestamp(args)
	case "admin":
		return commands.Admin(args)
	case "member":
		if err := commands.Member(untilInputEnds(), args); err != nil {
			return err
		}
		Tell(Line{"left": true})
		return nil
	default:
		return fmt.Errorf("there is no command %s", name)
	}
}

// untilInputEnds is a context that ends with stdin.
func untilInputEnds() context.Context {
	ctx, end := context.WithCancel(context.Background())
	go func() {
		defer end()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return ctx
}

// VersionOf a module that the driver was built with.
func VersionOf(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version[1:]
		}
	}
	panic("not built with " + module)
}

// Codecs in the protocol's order.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Mechanisms in the protocol's order.
var Mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
