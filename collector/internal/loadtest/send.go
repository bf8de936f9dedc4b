package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sender sends groups of traces, each span once as long as it gets an answer.
type sender struct {
	shape    shape
	price    rates
	endpoint string
	seed     uint64
	groups   int
	rate     float64
	workers  int
	retry    bool
	patience time.Duration

	client *http.Client
	parts  []*part
	begun  time.Time
	// start is when each group began, for its later parts.
	starts []atomic.Int64

	mu     sync.Mutex
	report report
}

// report is what became of the spans. accepted: the collector said yes. gave up: it said no, or nothing, for too long.
type report struct {
	Accepted worth `json:"accepted"`
	GaveUp   worth `json:"gave_up"`
	// Refusals are requests that were told no, by status; "unreachable" had no connection.
	Refusals map[string]int64 `json:"refusals"`
	// Unknown are requests without an answer: they may have been taken in, and are sent again.
	Unknown      int64   `json:"unknown"`
	UnknownSpans int64   `json:"unknown_spans"`
	RefusedSpans int64   `json:"refused_spans"`
	Requests     int64   `json:"requests"`
	Traces       int64   `json:"traces"`
	Seconds      float64 `json:"seconds"`
	Slowest      float64 `json:"slowest_answer"`
}

func sendCommand(arguments []string) error {
	s := &sender{}
	flags := flag.NewFlagSet("send", flag.ContinueOnError)
	flags.StringVar(&s.endpoint, "endpoint", "http://127.0.0.1:4318", "where the collector takes OTLP/HTTP")
	flags.Var(&s.price, "rates", "model=input:output pico-USD per token, comma-separated; a model alone has no price")
	spans := flags.Int("spans", 100_000, "how many spans, rounded up to whole groups")
	flags.Float64Var(&s.rate, "rate", 0, "spans per second; 0 is as fast as answers come")
	flags.IntVar(&s.workers, "workers", 4, "requests at one time")
	flags.Uint64Var(&s.seed, "seed", 1, "tells the ids of several senders apart, below 2^24")
	flags.IntVar(&s.shape.traces, "traces", 25, "traces in a group, which is sent together")
	flags.IntVar(&s.shape.spansPerTrace, "trace", 20, "spans of a trace")
	flags.IntVar(&s.shape.parts, "parts", 1, "requests over which a trace is spread, its root in the last")
	flags.IntVar(&s.shape.models, "models", 5, "percent of the spans that are model calls")
	flags.IntVar(&s.shape.attributes, "attributes", 20, "attributes of each span; a model call has seven more")
	flags.BoolVar(&s.retry, "retry", true, "send again what was refused or had no answer")
	flags.DurationVar(&s.patience, "patience", 40*time.Second, "for how long")
	timeout := flags.Duration("timeout", 10*time.Second, "how long to wait for an answer")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	s.groups = (*spans + s.shape.spans() - 1) / s.shape.spans()
	s.client = &http.Client{Timeout: *timeout, Transport: &http.Transport{MaxIdleConnsPerHost: s.workers}}
	if err := s.send(); err != nil {
		return err
	}
	return say(s.report)
}

// job is one request: a part of a group.
type job struct{ group, part int }

func (s *sender) send() error {
	var err error
	if len(s.price.models) == 0 {
		return errors.New("-rates names no model")
	}
	if s.parts, err = newParts(&s.shape, &s.price); err != nil {
		return err
	}
	s.report.Refusals = map[string]int64{}
	s.starts = make([]atomic.Int64, s.groups)
	s.begun = time.Now()
	jobs := make(chan job)
	var done sync.WaitGroup
	for range s.workers {
		done.Go(func() {
			var buffer []byte
			for next := range jobs {
				buffer = s.do(next, buffer)
			}
		})
	}
	s.plan(jobs)
	close(jobs)
	done.Wait()
	s.report.Traces = int64(s.groups * s.shape.traces)
	s.report.Seconds = time.Since(s.begun).Seconds()
	s.client.CloseIdleConnections()
	return nil
}

// plan hands out the parts in time: part after part of each group, several groups under way.
func (s *sender) plan(jobs chan<- job) {
	spans := 0
	for step := range s.groups + s.shape.parts - 1 {
		for number := range s.parts {
			group := step - number
			if group < 0 || group >= s.groups {
				continue
			}
			if s.rate > 0 {
				time.Sleep(time.Until(s.begun.Add(time.Duration(float64(spans) / s.rate * float64(time.Second)))))
			}
			if number == 0 {
				s.starts[group].Store(time.Now().UnixNano())
			}
			jobs <- job{group, number}
			spans += int(s.parts[number].worth.Spans)
		}
	}
}

// do sends one request until it is accepted, or patience ends.
func (s *sender) do(next job, buffer []byte) []byte {
	what := s.parts[next.part]
	start := uint64(s.starts[next.group].Load())
	buffer = what.stamp(&s.shape, buffer, s.seed, next.group, start, uint64(time.Now().UnixNano()))
	deadline := time.Now().Add(s.patience)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		began := time.Now()
		answer := s.post(buffer)
		s.note(answer, what.worth, time.Since(began))
		switch {
		case answer == "":
			return buffer
		case !s.retry || time.Now().After(deadline):
			s.mu.Lock()
			s.report.GaveUp.add(what.worth)
			s.mu.Unlock()
			return buffer
		}
		time.Sleep(pause)
	}
}

const (
	unreachable = "unreachable"
	unknown     = "unknown"
)

func (s *sender) note(answer string, what worth, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Requests++
	s.report.Slowest = max(s.report.Slowest, took.Seconds())
	switch answer {
	case "":
		s.report.Accepted.add(what)
	case unknown:
		s.report.Unknown++
		s.report.UnknownSpans += what.Spans
	default:
		s.report.Refusals[answer]++
		s.report.RefusedSpans += what.Spans
	}
}

// post returns nothing where the request was accepted, else why not.
func (s *sender) post(body []byte) string {
	response, err := s.client.Post(s.endpoint+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return unreachable
	}
	if err != nil {
		return unknown
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return unknown
	case response.StatusCode == http.StatusOK && len(said) > 0 && !strings.HasPrefix(string(said), "\n\x00"):
		return "partial" // an answer that is not empty says what was not taken
	case response.StatusCode == http.StatusOK:
		return ""
	}
	return fmt.Sprint(response.StatusCode)
}
