// pairing is a control plane made of go-control-plane's own caches and server, as people build
// theirs, which drives one proxy through many updates while requests flow, and counts what went
// wrong. go_control_plane_test.py starts it together with Sluice.
//
// It prints "listening on PORT", waits for a line on its standard input, runs, and prints one line
// of JSON: a report. Exit code 1: the run could not be finished.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
)

// report is what a run found.
type report struct {
	Mode          string   `json:"mode"`
	Updates       int      `json:"updates"`
	BadUpdates    int      `json:"bad_updates"`
	Nacks         int      `json:"nacks"`
	Requests      int64    `json:"requests"`
	Failed        int64    `json:"failed"`
	Failures      []string `json:"failures"`
	Problems      []string `json:"problems"` // of the protocol, such as duplicate ACKs
	Streams       int      `json:"streams"`
	Acks          int      `json:"acks"`
	EffectMedian  float64  `json:"effect_median_ms"`
	EffectLongest float64  `json:"effect_longest_ms"`
}

type options struct {
	mode     string
	ingress  int
	origins  []int
	updates  int
	badEvery int
	patience time.Duration
}

func readOptions() (options, error) {
	var o options
	var origins string
	flag.StringVar(&o.mode, "mode", "ads", "ads, delta, types, delta-types, linear, delta-linear, rest")
	flag.IntVar(&o.ingress, "ingress", 0, "port of the proxy's listener")
	flag.StringVar(&origins, "origins", "", "two ports")
	flag.IntVar(&o.updates, "updates", 100, "how many")
	flag.IntVar(&o.badEvery, "bad-every", 25, "one in so many updates is followed by a bad one; 0: none")
	flag.DurationVar(&o.patience, "patience", 20*time.Second, "for each update")
	flag.Parse()
	for _, text := range strings.Split(origins, ",") {
		var port int
		if _, err := fmt.Sscan(text, &port); err != nil {
			return o, fmt.Errorf("-origins: %q: %w", text, err)
		}
		o.origins = append(o.origins, port)
	}
	if len(o.origins) != 2 {
		return o, fmt.Errorf("-origins: expected two ports")
	}
	return o, nil
}

// serve starts the control plane of the mode.
func serve(ctx context.Context, mode string, c cache.Cache, watch *watcher) (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	xds := server.NewServer(ctx, c, watch.callbacks())
	if mode == "rest" {
		gateway := &server.HTTPGateway{Server: xds}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, code, err := gateway.ServeHTTP(r)
			if err != nil {
				http.Error(w, err.Error(), code)
				return
			}
			w.Header().Set("content-type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write(body)
		})
		go func() { _ = http.Serve(listener, handler) }()
		return port, nil
	}
	g := grpc.NewServer(grpc.MaxConcurrentStreams(1000))
	discovery.RegisterAggregatedDiscoveryServiceServer(g, xds)
	clusterservice.RegisterClusterDiscoveryServiceServer(g, xds)
	endpointservice.RegisterEndpointDiscoveryServiceServer(g, xds)
	listenerservice.RegisterListenerDiscoveryServiceServer(g, xds)
	routeservice.RegisterRouteDiscoveryServiceServer(g, xds)
	go func() { _ = g.Serve(listener) }()
	return port, nil
}

// run goes through all updates, each of which must be in effect before the next one comes.
func run(ctx context.Context, o options, pub publisher, w *watcher, rep *report) error {
	probe := &prober{port: o.ingress}
	var took []float64
	for n := 1; n <= o.updates; n++ {
		begun := time.Now()
		if err := pub.publish(ctx, world{n: n, o: o}); err != nil {
			return err
		}
		if err := probe.until(n, o.patience); err != nil {
			return fmt.Errorf("update %d: %w; %s", n, err, w.state())
		}
		took = append(took, float64(time.Since(begun).Microseconds())/1000)
		if err := w.settled(o.patience); err != nil {
			return fmt.Errorf("update %d: %w", n, err)
		}
		if o.mode == "rest" {
			if err := w.polledAll(strconv.Itoa(n+1), o.patience); err != nil {
				return fmt.Errorf("update %d: %w", n, err)
			}
		}
		if o.badEvery == 0 || n%o.badEvery != 0 || o.mode == "rest" {
			continue
		}
		rep.BadUpdates++
		nacks := w.numNacks()
		if err := pub.publish(ctx, world{n: n, bad: true, o: o}); err != nil {
			return err
		}
		if err := w.nacked(nacks, `r`, o.patience); err != nil {
			return fmt.Errorf("bad update behind %d: %w", n, err)
		}
	}
	sort.Float64s(took)
	rep.Updates = o.updates
	rep.EffectMedian = took[len(took)/2]
	rep.EffectLongest = took[len(took)-1]
	return nil
}

func mainOrError() error {
	o, err := readOptions()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := newWatcher()
	pub := newPublisher(o.mode)
	if err := pub.publish(ctx, world{n: 0, o: o}); err != nil {
		return err
	}
	port, err := serve(ctx, o.mode, pub.cache(), w)
	if err != nil {
		return err
	}
	fmt.Printf("listening on %d\n", port)
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	rep := report{Mode: o.mode}
	if err := (&prober{port: o.ingress}).until(0, o.patience); err != nil {
		return fmt.Errorf("first configuration: %w; %s", err, w.state())
	}
	traffic := startLoad(o.ingress)
	failed := run(ctx, o, pub, w, &rep)
	traffic.stop(&rep)
	w.fill(&rep)
	line, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	return failed
}

func main() {
	if err := mainOrError(); err != nil {
		fmt.Fprintln(os.Stderr, "pairing:", err)
		os.Exit(1)
	}
}
