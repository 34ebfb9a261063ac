package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load sends requests without pause: some connections are kept, some are new for each request.
// Everything but a 200 of an origin with its whole body is a failure.
type load struct {
	url      string
	stopped  atomic.Bool
	done     sync.WaitGroup
	requests atomic.Int64
	failed   atomic.Int64
	mu       sync.Mutex
	failures map[string]bool
}

const (
	numClients = 6
	bodySize   = 1000
	pause      = 500 * time.Microsecond // the other processes share the processors
)

func startLoad(port int) *load {
	l := &load{
		url:      fmt.Sprintf("http://127.0.0.1:%d/bytes/%d", port, bodySize),
		failures: map[string]bool{},
	}
	for i := 0; i < numClients; i++ {
		l.done.Add(1)
		go l.client(i%3 == 0)
	}
	return l
}

func (l *load) client(fresh bool) {
	defer l.done.Done()
	transport := &http.Transport{DisableKeepAlives: fresh}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for !l.stopped.Load() {
		l.requests.Add(1)
		if why := l.one(client); why != "" {
			l.failed.Add(1)
			l.mu.Lock()
			if len(l.failures) < 20 {
				l.failures[why] = true
			}
			l.mu.Unlock()
		}
		time.Sleep(pause)
	}
}

func (l *load) one(client *http.Client) string {
	// POST is not tried again by Go's client when a kept connection ends.
	response, err := client.Post(l.url, "text/plain", nil)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err.Error()
	case response.StatusCode != 200 || response.Header.Get("x-origin") == "":
		return fmt.Sprintf("%d %.200s", response.StatusCode, body)
	case len(body) != bodySize:
		return fmt.Sprintf("a body of %d bytes", len(body))
	}
	return ""
}

func (l *load) stop(rep *report) {
	l.stopped.Store(true)
	l.done.Wait()
	rep.Requests, rep.Failed = l.requests.Load(), l.failed.Load()
	for why := range l.failures {
		rep.Failures = append(rep.Failures, why)
	}
}

// prober asks which version the routes have.
type prober struct{ port int }

func (p *prober) version() (int, error) {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", p.port))
	if err != nil {
		return -1, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return strconv.Atoi(response.Header.Get("x-version"))
}

// until waits for the version.
func (p *prober) until(n int, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		version, err := p.version()
		if err == nil && version == n {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("version %d is not in effect, but %d (%v)", n, version, err)
		}
		time.Sleep(time.Millisecond)
	}
}
