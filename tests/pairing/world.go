package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// world is the n-th configuration: one listener, one route configuration that sends everything to
// one of two lasting clusters or to one that comes and goes, whose endpoint is one of the origins.
// Routes say n in a response header. Every update changes the routes, most something else as well;
// what routes refer to goes one update after the routes have changed.
type world struct {
	n   int
	bad bool // one that the proxy must refuse: two virtual hosts of one domain
	o   options
}

func must(message proto.Message) *anypb.Any {
	any, err := anypb.New(message)
	if err != nil {
		panic(err)
	}
	return any
}

func (w world) source() *core.ConfigSource {
	source := &core.ConfigSource{ResourceApiVersion: core.ApiVersion_V3}
	api := &core.ApiConfigSource{TransportApiVersion: core.ApiVersion_V3}
	switch w.o.mode {
	case "rest":
		api.ApiType = core.ApiConfigSource_REST
		api.ClusterNames = []string{"control"}
		api.RefreshDelay = durationpb.New(50 * time.Millisecond)
	case "types":
		api.ApiType = core.ApiConfigSource_GRPC
	case "delta-types":
		api.ApiType = core.ApiConfigSource_DELTA_GRPC
	default:
		source.ConfigSourceSpecifier = &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}}
		return source
	}
	if w.o.mode != "rest" {
		api.GrpcServices = []*core.GrpcService{{TargetSpecifier: &core.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: "control"}}}}
	}
	source.ConfigSourceSpecifier = &core.ConfigSource_ApiConfigSource{ApiConfigSource: api}
	return source
}

func address(port int) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address:       "127.0.0.1",
		PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

// passing names the n-th of the clusters that come and go.
func passing(generation int) string { return fmt.Sprintf("passing-%d", generation) }

func (w world) clusterNames() []string {
	names := []string{"c0", "c1", passing(w.n / 3)}
	if w.n >= 3 {
		names = append(names, passing(w.n/3-1))
	}
	return names
}

func (w world) clusters() []types.Resource {
	var out []types.Resource
	for _, name := range w.clusterNames() {
		out = append(out, &cluster.Cluster{
			Name:                 name,
			ConnectTimeout:       durationpb.New(time.Second),
			ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
			EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: w.source()},
		})
	}
	return out
}

func (w world) endpoints() []types.Resource {
	var out []types.Resource
	for i, name := range w.clusterNames() {
		port := w.o.origins[(i+w.n/2)%2]
		out = append(out, &endpoint.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpoint.LocalityLbEndpoints{{LbEndpoints: []*endpoint.LbEndpoint{{
				HostIdentifier: &endpoint.LbEndpoint_Endpoint{
					Endpoint: &endpoint.Endpoint{Address: address(port)}},
			}}}},
		})
	}
	return out
}

func (w world) listeners() []types.Resource {
	manager := &hcm.HttpConnectionManager{
		StatPrefix: "in",
		ServerName: fmt.Sprintf("generation-%d", w.n/4),
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{
			RouteConfigName: "r", ConfigSource: w.source()}},
		HttpFilters: []*hcm.HttpFilter{{
			Name:       "http-router",
			ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: must(&router.Router{})},
		}},
	}
	return []types.Resource{&listener.Listener{
		Name:    "in",
		Address: address(w.o.ingress),
		FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{
			Name:       "http",
			ConfigType: &listener.Filter_TypedConfig{TypedConfig: must(manager)},
		}}}},
	}}
}

func (w world) routes() []types.Resource {
	target := []string{"c0", "c1", passing(w.n / 3)}[w.n%3]
	host := &route.VirtualHost{
		Name:    "all",
		Domains: []string{"*"},
		Routes: []*route.Route{{
			Match: &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
			Action: &route.Route_Route{Route: &route.RouteAction{
				ClusterSpecifier: &route.RouteAction_Cluster{Cluster: target}}},
		}},
		ResponseHeadersToAdd: []*core.HeaderValueOption{{
			Header: &core.HeaderValue{Key: "x-version", Value: strconv.Itoa(w.n)},
		}},
	}
	hosts := []*route.VirtualHost{host}
	if w.bad {
		twin := proto.Clone(host).(*route.VirtualHost)
		twin.Name = "twin"
		hosts = append(hosts, twin)
	}
	return []types.Resource{&route.RouteConfiguration{Name: "r", VirtualHosts: hosts}}
}

func (w world) all() map[resource.Type][]types.Resource {
	return map[resource.Type][]types.Resource{
		resource.ClusterType:  w.clusters(),
		resource.EndpointType: w.endpoints(),
		resource.ListenerType: w.listeners(),
		resource.RouteType:    w.routes(),
	}
}

// publisher puts worlds into a cache.
type publisher interface {
	publish(ctx context.Context, w world) error
	cache() cache.Cache
}

func newPublisher(mode string) publisher {
	switch mode {
	case "linear", "delta-linear":
		return newLinear()
	case "ads", "delta":
		return &snapshots{held: cache.NewSnapshotCache(true, anyNode{}, nil)}
	default:
		return &snapshots{held: cache.NewSnapshotCache(false, anyNode{}, nil)}
	}
}

type anyNode struct{}

func (anyNode) ID(*core.Node) string { return "any" }

type snapshots struct {
	held  cache.SnapshotCache
	count int
}

func (s *snapshots) cache() cache.Cache { return s.held }

func (s *snapshots) publish(ctx context.Context, w world) error {
	s.count++
	snapshot, err := cache.NewSnapshot(strconv.Itoa(s.count), w.all())
	if err != nil {
		return err
	}
	return s.held.SetSnapshot(ctx, "any", snapshot)
}

// linear is a mux of one linear cache for each type.
type linear struct {
	mux    *cache.MuxCache
	caches map[resource.Type]*cache.LinearCache
}

func newLinear() *linear {
	l := &linear{caches: map[resource.Type]*cache.LinearCache{}}
	muxed := map[string]cache.Cache{}
	for _, kind := range order {
		l.caches[kind] = cache.NewLinearCache(kind)
		muxed[kind] = l.caches[kind]
	}
	l.mux = &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        muxed,
	}
	return l
}

// order is in which the types change: what is referred to first.
var order = []resource.Type{resource.ClusterType, resource.EndpointType, resource.ListenerType,
	resource.RouteType}

func (l *linear) cache() cache.Cache { return l.mux }

// publish adds and changes in order; what is gone goes with the next update's clusters, when no
// route refers to it any more.
func (l *linear) publish(_ context.Context, w world) error {
	for _, kind := range order {
		update := map[string]types.Resource{}
		for _, item := range w.all()[kind] {
			update[cache.GetResourceName(item)] = item
		}
		var gone []string
		for name, had := range l.caches[kind].GetResources() {
			now, there := update[name]
			if !there {
				gone = append(gone, name)
			} else if proto.Equal(had, now) {
				delete(update, name)
			}
		}
		if len(update)+len(gone) == 0 {
			continue
		}
		if err := l.caches[kind].UpdateResources(update, gone); err != nil {
			return err
		}
	}
	return nil
}
