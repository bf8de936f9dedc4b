package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sink is an OTLP/HTTP backend that counts. It can be slow, refuse, and go away.
type sink struct {
	delay  atomic.Int64
	status atomic.Int64

	mu     sync.Mutex
	server *http.Server
	at     string

	count counter
}

func sinkCommand(arguments []string) error {
	s := &sink{}
	flags := flag.NewFlagSet("sink", flag.ContinueOnError)
	flags.Var(&s.count.price, "rates", "as of send: what each span is priced by a second time")
	flags.IntVar(&s.count.spansPerTrace, "trace", 0, "spans of a whole trace; 0 is any number")
	at := flags.String("listen", "127.0.0.1:0", "where spans come in")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	s.count.begin()
	s.at = *at
	if err := s.open(); err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	desk := &http.Server{Handler: s.control(), ReadHeaderTimeout: time.Minute}
	go func() { _ = desk.Serve(control) }()
	if err := say(map[string]string{"endpoint": "http://" + s.at, "control": "http://" + control.Addr().String()}); err != nil {
		return err
	}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	<-ended.Done()
	s.close()
	return desk.Close()
}

// open listens where it listened before.
func (s *sink) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.at)
	if err != nil {
		return err
	}
	s.at = listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", s.take(s.count.traces))
	mux.HandleFunc("POST /v1/metrics", s.take(s.count.metrics))
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func(server *http.Server) { _ = server.Serve(listener) }(s.server)
	return nil
}

// close cuts every connection: what is under way has no answer.
func (s *sink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		_ = s.server.Close()
		s.server = nil
	}
}

func (s *sink) take(count func([]byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := read(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(time.Duration(s.delay.Load()))
		if status := int(s.status.Load()); status != 0 {
			w.WriteHeader(status)
			return
		}
		if err := count(body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}
}

func read(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unpacked)
}

// control is how a test asks and tells: GET /count, POST /set?delay=50ms&status=503, POST /close, POST /open.
func (s *sink) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(s.count.answer())
	})
	mux.HandleFunc("POST /set", func(w http.ResponseWriter, r *http.Request) {
		delay, bad := time.ParseDuration(r.URL.Query().Get("delay"))
		status, worse := strconv.Atoi(r.URL.Query().Get("status"))
		if err := errors.Join(bad, worse); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.delay.Store(int64(delay))
		s.status.Store(int64(status))
	})
	mux.HandleFunc("POST /close", func(http.ResponseWriter, *http.Request) { s.close() })
	mux.HandleFunc("POST /open", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.open(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}
