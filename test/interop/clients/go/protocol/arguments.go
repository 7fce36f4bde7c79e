// Package protocol is the drivers' common protocol (../../README.md) for those written in Go.
package protocol

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// SASL is how to log in.
type SASL struct {
	Mechanism string `json:"mechanism"`
	Username  string `json:"username"`
	Password  string `json:"password"`
}

// Arguments of all commands: each has some of them.
type Arguments struct {
	Bootstrap string `json:"bootstrap"`
	SASL      *SASL  `json:"sasl"`
	TLS       *struct {
		CAFile string `json:"caFile"`
	} `json:"tls"`
	// ClientVersion is the version of Kafka's that the client is told to speak with; its newest if empty.
	ClientVersion string `json:"clientVersion"`

	Topic      string `json:"topic"`
	Count      int    `json:"count"`
	Prefix     string `json:"prefix"`
	Codec      string `json:"codec"`
	Acks       int    `json:"acks"`
	Idempotent bool   `json:"idempotent"`
	Partition  *int32 `json:"partition"`
	PerRequest int    `json:"perRequest"`
	BackoffMs  int    `json:"backoffMs"`

	Timestamp int64 `json:"timestamp"`

	Group            string `json:"group"`
	InstanceID       string `json:"instanceId"`
	Protocol         string `json:"protocol"`
	SessionTimeoutMs int    `json:"sessionTimeoutMs"`
}

// GiveUp is how long a producer tries.
const GiveUp = 60 * time.Second

// defaultBackoff is near what the libraries have.
const defaultBackoff = 100 * time.Millisecond

// HeartbeatsPerSession leaves a member many chances before it is missed.
const HeartbeatsPerSession = 10

func parseArguments(text string) (*Arguments, error) {
	args := &Arguments{Codec: "none", Acks: -1, Protocol: "classic"}
	if err := json.Unmarshal([]byte(text), args); err != nil {
		return nil, fmt.Errorf("the argument is not the JSON of the protocol: %w", err)
	}
	return args, nil
}

// Backoff before the client connects or tries again.
func (args *Arguments) Backoff() time.Duration {
	if args.BackoffMs == 0 {
		return defaultBackoff
	}
	return time.Duration(args.BackoffMs) * time.Millisecond
}

// SessionTimeout after which a member is missed; the library's own if 0.
func (args *Arguments) SessionTimeout() time.Duration {
	return time.Duration(args.SessionTimeoutMs) * time.Millisecond
}

// TLSConfig is nil without TLS.
func (args *Arguments) TLSConfig() (*tls.Config, error) {
	if args.TLS == nil {
		return nil, nil
	}
	pem, err := os.ReadFile(args.TLS.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", args.TLS.CAFile)
	}
	return &tls.Config{RootCAs: roots}, nil
}

// Record that `produce` sends as its i-th.
type Record struct{ Key, Value, HeaderName, HeaderValue string }

// RecordOf says what the i-th record holds.
func RecordOf(prefix string, i int) Record {
	key := prefix + "-" + strconv.Itoa(i)
	return Record{Key: key, Value: key + "-" + strings.Repeat("x", 80), HeaderName: "n", HeaderValue: strconv.Itoa(i)}
}
