package protocol

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Line is one JSON object of the output.
type Line map[string]any

var output sync.Mutex

// Tell writes a line of the output, at once.
func Tell(line Line) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // Lines are made of numbers and strings.
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

// Log writes to stderr.
func Log(format string, values ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05.000 ")+format+"\n", values...)
}

// Consumed is a record as `consume` tells it.
type Consumed struct {
	Partition  int32
	Offset     int64
	Time       time.Time
	Key, Value []byte
	Headers    map[string]string
}

// TellConsumed tells a record of `consume`.
func TellConsumed(record Consumed) {
	Tell(Line{
		"partition": record.Partition,
		"offset":    record.Offset,
		"timestamp": record.Time.UnixMilli(),
		"key":       textOrNil(record.Key),
		"value":     textOrNil(record.Value),
		"headers":   record.Headers,
	})
}

func textOrNil(bytes []byte) any {
	if bytes == nil {
		return nil
	}
	return string(bytes)
}

// First is the first record that `seek-timestamp` reads in a partition.
type First struct {
	Offset    int64 `json:"offset"`
	Timestamp int64 `json:"timestamp"`
}

// TellSought tells a partition of `seek-timestamp`; offset nil where there is no record as late.
func TellSought(partition int32, offset *int64, first *First) {
	Tell(Line{"partition": partition, "offset": offset, "first": first})
}

// TellRead tells a record that a member of a group has read.
func TellRead(partition int32, offset int64, value []byte) {
	Tell(Line{"record": []any{partition, offset, string(value)}})
}

// TellCommitted tells of a commit that succeeded, by partition.
func TellCommitted(offsets map[int32]int64) {
	byPartition := map[string]int64{}
	for partition, offset := range offsets {
		byPartition[strconv.Itoa(int(partition))] = offset
	}
	Tell(Line{"committed": byPartition})
}

// Assignment tells a member's whole assignment whenever it has changed.
type Assignment struct {
	lock sync.Mutex
	held []int32
}

// Set replaces the whole assignment.
func (assignment *Assignment) Set(partitions []int32) {
	assignment.change(func([]int32) []int32 { return slices.Clone(partitions) })
}

// Add adds what was assigned.
func (assignment *Assignment) Add(partitions []int32) {
	assignment.change(func(held []int32) []int32 { return append(slices.Clone(held), partitions...) })
}

// Remove removes what was revoked or lost.
func (assignment *Assignment) Remove(partitions []int32) {
	assignment.change(func(held []int32) []int32 {
		return slices.DeleteFunc(slices.Clone(held), func(partition int32) bool {
			return slices.Contains(partitions, partition)
		})
	})
}

func (assignment *Assignment) change(next func([]int32) []int32) {
	assignment.lock.Lock()
	defer assignment.lock.Unlock()
	now := next(assignment.held)
	slices.Sort(now)
	if slices.Equal(now, assignment.held) {
		return
	}
	assignment.held = now
	Tell(Line{"assigned": append([]int32{}, now...)})
}

// TellCall does one call of `admin`, and tells how it went.
func TellCall(call string, work func() (any, error)) {
	result, err := work()
	if err != nil {
		Log("%s: %v", call, err)
		Tell(Line{"call": call, "error": err.Error()})
		return
	}
	Tell(Line{"call": call, "result": result})
}
