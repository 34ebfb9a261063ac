package pairing;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import io.envoyproxy.controlplane.cache.NodeGroup;
import io.envoyproxy.controlplane.cache.v3.SimpleCache;
import io.envoyproxy.controlplane.cache.v3.Snapshot;
import io.envoyproxy.controlplane.server.DiscoveryServerCallbacks;
import io.envoyproxy.controlplane.server.V3DiscoveryServer;
import io.envoyproxy.envoy.config.cluster.v3.Cluster;
import io.envoyproxy.envoy.config.core.v3.Address;
import io.envoyproxy.envoy.config.core.v3.AggregatedConfigSource;
import io.envoyproxy.envoy.config.core.v3.ApiVersion;
import io.envoyproxy.envoy.config.core.v3.ConfigSource;
import io.envoyproxy.envoy.config.core.v3.Node;
import io.envoyproxy.envoy.config.core.v3.SocketAddress;
import io.envoyproxy.envoy.config.endpoint.v3.ClusterLoadAssignment;
import io.envoyproxy.envoy.config.endpoint.v3.Endpoint;
import io.envoyproxy.envoy.config.endpoint.v3.LbEndpoint;
import io.envoyproxy.envoy.config.endpoint.v3.LocalityLbEndpoints;
import io.envoyproxy.envoy.config.listener.v3.Filter;
import io.envoyproxy.envoy.config.listener.v3.FilterChain;
import io.envoyproxy.envoy.config.listener.v3.Listener;
import io.envoyproxy.envoy.config.route.v3.Route;
import io.envoyproxy.envoy.config.route.v3.RouteAction;
import io.envoyproxy.envoy.config.route.v3.RouteConfiguration;
import io.envoyproxy.envoy.config.route.v3.RouteMatch;
import io.envoyproxy.envoy.config.route.v3.VirtualHost;
import io.envoyproxy.envoy.extensions.filters.http.router.v3.Router;
import io.envoyproxy.envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager;
import io.envoyproxy.envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter;
import io.envoyproxy.envoy.extensions.filters.network.http_connection_manager.v3.Rds;
import io.envoyproxy.envoy.service.discovery.v3.DeltaDiscoveryRequest;
import io.envoyproxy.envoy.service.discovery.v3.DeltaDiscoveryResponse;
import io.envoyproxy.envoy.service.discovery.v3.DiscoveryRequest;
import io.envoyproxy.envoy.service.discovery.v3.DiscoveryResponse;
import io.grpc.Server;
import io.grpc.netty.NettyServerBuilder;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A control plane made of java-control-plane's own cache and server. Arguments: the proxy's port, and
 * the ports of two origins. Prints "listening on PORT"; then each line "VERSION CLUSTER SWAPPED" of
 * its standard input is the next snapshot, "bad VERSION" one with routes that are no good, and "end"
 * prints a line of JSON with what clients did.
 */
public final class Main {
  private static final String GROUP = "all";

  /** What the client did, and what it must not do. */
  private static final class Watch implements DiscoveryServerCallbacks {
    private final Set<String> answered = new HashSet<>();
    private final Set<Long> streams = new HashSet<>();
    private final List<String> problems = new ArrayList<>();
    private int responses;
    private int acks;
    private int nacks;

    private synchronized void seen(long stream, String type, String nonce, boolean isError) {
      streams.add(stream);
      if (nonce.isEmpty()) {
        return;
      }
      // An answer, or a change of names with the newest nonce: only the first counts.
      if (!answered.add(stream + type + nonce)) {
        return;
      }
      if (isError) {
        nacks++;
      } else {
        acks++;
      }
    }

    @Override
    public void onV3StreamRequest(long streamId, DiscoveryRequest request) {
      seen(streamId, request.getTypeUrl(), request.getResponseNonce(), request.hasErrorDetail());
    }

    @Override
    public void onV3StreamDeltaRequest(long streamId, DeltaDiscoveryRequest request) {
      seen(streamId, request.getTypeUrl(), request.getResponseNonce(), request.hasErrorDetail());
    }

    @Override
    public synchronized void onV3StreamResponse(
        long streamId, DiscoveryRequest request, DiscoveryResponse response) {
      responses++;
    }

    @Override
    public synchronized void onV3StreamDeltaResponse(
        long streamId, DeltaDiscoveryRequest request, DeltaDiscoveryResponse response) {
      responses++;
    }

    @Override
    public synchronized void onStreamCloseWithError(long streamId, String type, Throwable error) {
      problems.add("stream " + streamId + ": " + error);
    }

    synchronized String json() {
      return String.format(
          "{\"streams\": %d, \"responses\": %d, \"acks\": %d, \"nacks\": %d, \"problems\": %d}",
          streams.size(), responses, acks, nacks, problems.size());
    }
  }

  private static ConfigSource ads() {
    return ConfigSource.newBuilder()
        .setAds(AggregatedConfigSource.getDefaultInstance())
        .setResourceApiVersion(ApiVersion.V3)
        .build();
  }

  private static Address address(int port) {
    return Address.newBuilder()
        .setSocketAddress(
            SocketAddress.newBuilder().setAddress("127.0.0.1").setPortValue(port))
        .build();
  }

  private static Cluster cluster(String name) {
    return Cluster.newBuilder()
        .setName(name)
        .setType(Cluster.DiscoveryType.EDS)
        .setConnectTimeout(Duration.newBuilder().setSeconds(5))
        .setEdsClusterConfig(Cluster.EdsClusterConfig.newBuilder().setEdsConfig(ads()))
        .build();
  }

  private static ClusterLoadAssignment endpoints(String name, int port) {
    return ClusterLoadAssignment.newBuilder()
        .setClusterName(name)
        .addEndpoints(
            LocalityLbEndpoints.newBuilder()
                .addLbEndpoints(
                    LbEndpoint.newBuilder()
                        .setEndpoint(Endpoint.newBuilder().setAddress(address(port)))))
        .build();
  }

  private static RouteConfiguration routes(String cluster, boolean bad) {
    VirtualHost.Builder host =
        VirtualHost.newBuilder()
            .setName("all")
            .addDomains("*")
            .addRoutes(
                Route.newBuilder()
                    .setMatch(RouteMatch.newBuilder().setPrefix("/"))
                    .setRoute(RouteAction.newBuilder().setCluster(cluster)));
    if (bad) {
      host.addDomains("*"); // given twice
    }
    return RouteConfiguration.newBuilder().setName("r").addVirtualHosts(host).build();
  }

  private static Listener listener(int port) {
    HttpConnectionManager manager =
        HttpConnectionManager.newBuilder()
            .setStatPrefix("in")
            .setRds(Rds.newBuilder().setRouteConfigName("r").setConfigSource(ads()))
            .addHttpFilters(
                HttpFilter.newBuilder()
                    .setName("router")
                    .setTypedConfig(Any.pack(Router.getDefaultInstance())))
            .build();
    return Listener.newBuilder()
        .setName("in")
        .setAddress(address(port))
        .addFilterChains(
            FilterChain.newBuilder()
                .addFilters(
                    Filter.newBuilder().setName("hcm").setTypedConfig(Any.pack(manager))))
        .build();
  }

  private static Snapshot snapshot(
      int ingress, int[] origins, String version, int cluster, int swapped, boolean bad) {
    return Snapshot.create(
        List.of(cluster("c0"), cluster("c1")),
        List.of(endpoints("c0", origins[swapped]), endpoints("c1", origins[1 - swapped])),
        List.of(listener(ingress)),
        List.of(routes("c" + cluster, bad)),
        List.of(),
        version);
  }

  public static void main(String[] args) throws Exception {
    int ingress = Integer.parseInt(args[0]);
    int[] origins = {Integer.parseInt(args[1]), Integer.parseInt(args[2])};
    SimpleCache<String> cache =
        new SimpleCache<>(
            new NodeGroup<String>() {
              @Override
              public String hash(Node node) {
                return GROUP;
              }
            });
    cache.setSnapshot(GROUP, snapshot(ingress, origins, "0", 0, 0, false));
    Watch watch = new Watch();
    V3DiscoveryServer discovery = new V3DiscoveryServer(watch, cache);
    Server server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
            .addService(discovery.getAggregatedDiscoveryServiceImpl())
            .addService(discovery.getClusterDiscoveryServiceImpl())
            .addService(discovery.getEndpointDiscoveryServiceImpl())
            .addService(discovery.getListenerDiscoveryServiceImpl())
            .addService(discovery.getRouteDiscoveryServiceImpl())
            .build()
            .start();
    System.out.println("listening on " + server.getPort());
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ");
      if (words[0].equals("report") || words[0].equals("end")) {
        System.out.println(watch.json());
      } else if (words[0].equals("set")) {
        cache.setSnapshot(
            GROUP,
            snapshot(ingress, origins, words[1], Integer.parseInt(words[2]),
                Integer.parseInt(words[3]), words[4].equals("bad")));
      }
      if (words[0].equals("end")) {
        break;
      }
    }
    server.shutdownNow();
  }
}
