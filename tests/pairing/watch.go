package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
)

// watcher sees every request and response of the server and notes what a client must not do:
// a first request without node, an ACK that comes twice, a nonce that was never sent.
type watcher struct {
	mu       sync.Mutex
	changed  *sync.Cond
	streams  map[int64]map[string]*typeState // by type URL
	opened   int
	acks     int
	nacks    int
	lastNack string
	problems []string
	polled   map[string]string // by type URL: the version that the last poll has
}

type typeState struct {
	pushed   string // nonce of the last response
	answered string
	sent     map[string]bool
	last     string // the last request's nonce, version and names
}

func newWatcher() *watcher {
	w := &watcher{streams: map[int64]map[string]*typeState{}, polled: map[string]string{}}
	w.changed = sync.NewCond(&w.mu)
	return w
}

func (w *watcher) callbacks() server.Callbacks {
	return server.CallbackFuncs{
		StreamOpenFunc:         func(_ context.Context, id int64, _ string) error { return w.open(id) },
		DeltaStreamOpenFunc:    func(_ context.Context, id int64, _ string) error { return w.open(id) },
		StreamClosedFunc:       func(id int64, _ *core.Node) { w.closed(id) },
		DeltaStreamClosedFunc:  func(id int64, _ *core.Node) { w.closed(id) },
		StreamRequestFunc:      w.request,
		StreamDeltaRequestFunc: w.deltaRequest,
		FetchRequestFunc:       w.poll,
		StreamResponseFunc: func(_ context.Context, id int64, _ *discovery.DiscoveryRequest,
			r *discovery.DiscoveryResponse) {
			w.response(id, r.GetTypeUrl(), r.GetNonce())
		},
		StreamDeltaResponseFunc: func(id int64, _ *discovery.DeltaDiscoveryRequest,
			r *discovery.DeltaDiscoveryResponse) {
			w.response(id, r.GetTypeUrl(), r.GetNonce())
		},
	}
}

func (w *watcher) open(id int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened++
	w.streams[id] = map[string]*typeState{}
	return nil
}

func (w *watcher) closed(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.streams, id)
	w.changed.Broadcast()
}

func (w *watcher) stateOf(id int64, kind string) *typeState {
	types := w.streams[id]
	if types == nil {
		return &typeState{sent: map[string]bool{}}
	}
	if types[kind] == nil {
		types[kind] = &typeState{sent: map[string]bool{}}
	}
	return types[kind]
}

func (w *watcher) problem(format string, args ...any) {
	if len(w.problems) < 20 {
		w.problems = append(w.problems, fmt.Sprintf(format, args...))
	}
}

func brief(kind string) string { return kind[strings.LastIndex(kind, ".")+1:] }

func (w *watcher) response(id int64, kind, nonce string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.stateOf(id, kind)
	state.pushed = nonce
	state.sent[nonce] = true
}

// answer notes an ACK or NACK.
func (w *watcher) answer(state *typeState, kind, nonce string, failed bool, message string) {
	if !state.sent[nonce] {
		w.problem("%s answers nonce %q, which was never sent", brief(kind), nonce)
	}
	if state.answered == nonce {
		return
	}
	state.answered = nonce
	if failed {
		w.nacks++
		w.lastNack = message
	} else {
		w.acks++
	}
	w.changed.Broadcast()
}

func (w *watcher) request(id int64, r *discovery.DiscoveryRequest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.streams[id]) == 0 && r.GetNode().GetId() == "" {
		w.problem("the first request of a stream has no node")
	}
	kind := r.GetTypeUrl()
	state := w.stateOf(id, kind)
	names := append([]string(nil), r.GetResourceNames()...)
	sort.Strings(names)
	says := fmt.Sprint(r.GetResponseNonce(), "|", r.GetVersionInfo(), "|", names)
	if r.GetResponseNonce() != "" {
		if says == state.last {
			w.problem("%s answers %s twice", brief(kind), r.GetResponseNonce())
		}
		w.answer(state, kind, r.GetResponseNonce(), r.GetErrorDetail() != nil,
			r.GetErrorDetail().GetMessage())
	} else if state.answered != "" {
		w.problem("%s has lost its nonce", brief(kind))
	}
	state.last = says
	return nil
}

func (w *watcher) deltaRequest(id int64, r *discovery.DeltaDiscoveryRequest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.streams[id]) == 0 && r.GetNode().GetId() == "" {
		w.problem("the first request of a stream has no node")
	}
	kind := r.GetTypeUrl()
	state := w.stateOf(id, kind)
	if r.GetResponseNonce() == "" {
		return nil
	}
	if state.answered == r.GetResponseNonce() {
		w.problem("%s answers %s twice", brief(kind), r.GetResponseNonce())
	}
	w.answer(state, kind, r.GetResponseNonce(), r.GetErrorDetail() != nil,
		r.GetErrorDetail().GetMessage())
	return nil
}

// wait calls `holds`, with the mutex held, until it is true.
func (w *watcher) wait(patience time.Duration, holds func() bool) bool {
	timer := time.AfterFunc(patience, func() { w.changed.Broadcast() })
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	w.mu.Lock()
	defer w.mu.Unlock()
	for !holds() {
		if time.Now().After(deadline) {
			return false
		}
		w.changed.Wait()
	}
	return true
}

// settled waits until everything that was sent has been answered.
func (w *watcher) settled(patience time.Duration) error {
	if w.wait(patience, func() bool {
		for _, types := range w.streams {
			for _, state := range types {
				if state.pushed != state.answered {
					return false
				}
			}
		}
		return true
	}) {
		return nil
	}
	return fmt.Errorf("a response was never answered: %s", w.state())
}

// poll notes what the client has of a type when it asks for more of it.
func (w *watcher) poll(_ context.Context, r *discovery.DiscoveryRequest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.GetNode().GetId() == "" {
		w.problem("a poll has no node")
	}
	w.polled[r.GetTypeUrl()] = r.GetVersionInfo()
	w.changed.Broadcast()
	return nil
}

// polledAll waits until each of the four types has been polled by a client that has the version.
// Polls of different types come in any order, so that whoever makes before he breaks has to.
func (w *watcher) polledAll(version string, patience time.Duration) error {
	if w.wait(patience, func() bool {
		for _, has := range w.polled {
			if has != version {
				return false
			}
		}
		return len(w.polled) == 4
	}) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Errorf("version %s was not polled of each type: %v", version, w.polled)
}

func (w *watcher) numNacks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nacks
}

// nacked waits for a NACK behind the first `before` ones that names the resource.
func (w *watcher) nacked(before int, name string, patience time.Duration) error {
	if !w.wait(patience, func() bool { return w.nacks > before }) {
		return fmt.Errorf("the bad resource was not refused")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.Contains(w.lastNack, `"`+name+`"`) {
		return fmt.Errorf("the NACK does not name %q: %s", name, w.lastNack)
	}
	return nil
}

func (w *watcher) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for id, types := range w.streams {
		for kind, state := range types {
			out = append(out, fmt.Sprintf("stream %d %s: sent %q, answered %q", id, brief(kind),
				state.pushed, state.answered))
		}
	}
	sort.Strings(out)
	return strings.Join(out, "; ") + "; last NACK: " + w.lastNack
}

func (w *watcher) fill(rep *report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rep.Nacks, rep.Acks, rep.Streams, rep.Problems = w.nacks, w.acks, w.opened, w.problems
}
