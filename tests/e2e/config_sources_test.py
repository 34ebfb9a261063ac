#!/usr/bin/env python3
"""Every way in which configuration may come: state of the world and incremental, aggregated and a
stream per type, from files as Kubernetes swaps them, from a second server while the first is away,
and from the last good configuration on disk. Under load where something changes: no request fails.
mock-cp says at the end whether the client did anything that it must not."""

import json
import os
import signal
import urllib.request

import harness
from harness import until

harness.need("sluice", "mock-cp", "origin")


def bootstrap(api_type, controls, source):
    """`controls` are ports of servers; `source` makes lds_config and cds_config ({} or ADS)."""
    names = [f"control{i}" for i in range(len(controls))]
    services = ", ".join(f"{{ envoy_grpc: {{ cluster_name: {n} }} }}" for n in names)
    api = f"{{ api_type: {api_type}, transport_api_version: V3, grpc_services: [ {services} ] }}"
    http2 = (f'typed_extension_protocol_options: {{ envoy.extensions.upstreams.http.v3.'
             f'HttpProtocolOptions: {{ "@type": "{harness.HTTP_OPTIONS}", explicit_http_config: '
             f'{{ http2_protocol_options: {{}} }} }} }},')
    clusters = [harness.static_cluster(n, p, http2) for n, p in zip(names, controls)]
    if source == "ads":
        dynamic = f"ads_config: {api}, lds_config: {harness.ADS}, cds_config: {harness.ADS}"
    else:
        each = f"{{ api_config_source: {api}, resource_api_version: V3 }}"
        dynamic = f"lds_config: {each}, cds_config: {each}"
    return (f"node: {{ id: test, cluster: test }}\n"
            f"admin: {{ address: {harness.address(0)} }}\n"
            f"dynamic_resources: {{ {dynamic} }}\n" + harness.static_bootstrap(clusters=clusters))


def of_self(text):
    """The same resources, which name the source that they are from in place of ADS."""
    return text.replace(harness.ADS, "{ self: {}, resource_api_version: V3 }")


def put_world(site, port, origins, cluster):
    for name, target in origins.items():
        site.resource(f"{name}.yaml", f"clusters:\n- {of_self(harness.eds_cluster(name))}"
                      f"endpoints:\n- {harness.load_assignment(name, target)}")
    site.resource("routes.yaml", "routes:\n- " + harness.route_config("r", cluster))
    site.resource("listeners.yaml", "listeners:\n- " +
                  of_self(harness.listener("in", port, harness.rds("r"))))


def served_by(port):
    try:
        return harness.get(port, "/").headers["x-origin"]
    except OSError:
        return None


def mock_cp(site, port, admin=None):
    more = ["--admin", admin] if admin else []
    return site.start(f"mock-cp-{port}", harness.BIN / "mock-cp", "--listen", f"127.0.0.1:{port}",
                      "--resources", site.resources, *more)


def check(admin):
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/check", timeout=10) as answer:
        return answer.status == 200


def streams(admin):
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/clients?open=true") as answer:
        return json.load(answer)


def from_server(api_type, source):
    with harness.Site() as site:
        origins = {n: site.origin(n) for n in "ab"}
        control, admin, port = (harness.free_port() for _ in range(3))
        put_world(site, port, origins, "a")
        mock = mock_cp(site, control, admin)
        mock.says("serving on port")
        sluice = site.sluice(bootstrap(api_type, [control], source))
        until("the listener accepts", lambda: served_by(port) == "a")
        with harness.Load(port, connections=4) as load:
            for i in range(6):
                name = "ba"[i % 2]
                site.resource("routes.yaml", "routes:\n- " + harness.route_config("r", name))
                until("the new routes are in effect", lambda: served_by(port) == name)
            mock.end(signal.SIGKILL)
            mock = mock_cp(site, control, admin)
            site.resource("routes.yaml", "routes:\n- " + harness.route_config("r", "b"))
            until("it is back", lambda: served_by(port) == "b")
        load.check()
        assert check(admin)
        assert sluice.end() == 0
    return load.total()


def from_files():
    with harness.Site() as site:
        origins = {n: site.origin(n) for n in "ab"}
        port = harness.free_port()
        hold = site.folder / "hold"

        def write(version, cluster):
            folder = hold / f"..{version}"
            folder.mkdir(parents=True)

            def source(name):
                return f"{{ path_config_source: {{ path: {hold / name} }} }}"
            hcm = (f"rds: {{ route_config_name: r, config_source: {source('rds.yaml')} }}")
            kinds = {
                "cds.yaml": [("cluster.v3.Cluster", harness.eds_cluster(n).replace(
                    harness.ADS, source("eds.yaml"))) for n in origins],
                "eds.yaml": [("endpoint.v3.ClusterLoadAssignment", harness.load_assignment(n, p))
                             for n, p in origins.items()],
                "rds.yaml": [("route.v3.RouteConfiguration", harness.route_config("r", cluster))],
                "lds.yaml": [("listener.v3.Listener", harness.listener("in", port, hcm))],
            }
            for name, resources in kinds.items():
                text = "".join(f'- {{ "@type": type.googleapis.com/envoy.config.{kind}, '
                               f'{body.strip()[1:]}\n' for kind, body in resources)
                (folder / name).write_text(f"version_info: '{version}'\nresources:\n{text}")
            (hold / "..new").symlink_to(f"..{version}")
            os.rename(hold / "..new", hold / "..data")

        write(1, "a")
        for name in ("cds", "eds", "rds", "lds"):
            (hold / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
        sluice = site.sluice(
            "node: { id: test, cluster: test }\ndynamic_resources:\n"
            f"  cds_config: {{ path_config_source: {{ path: {hold / 'cds.yaml'} }} }}\n"
            f"  lds_config: {{ path: {hold / 'lds.yaml'} }}\n")
        until("the listener accepts", lambda: served_by(port) == "a")
        with harness.Load(port, connections=4) as load:
            for version in range(2, 8):
                name = "ab"[version % 2]
                write(version, name)
                until("the files are in effect", lambda: served_by(port) == name)
        load.check()
        assert sluice.end() == 0
    return load.total()


def from_second_server(api_type):
    with harness.Site() as site:
        origins = {n: site.origin(n) for n in "ab"}
        first, second, port = (harness.free_port() for _ in range(3))
        put_world(site, port, origins, "a")
        other = mock_cp(site, second)
        other.says("serving on port")
        sluice = site.sluice(bootstrap(api_type, [first, second], "ads"))
        until("the second server is used", lambda: served_by(port) == "a")
        with harness.Load(port, connections=4) as load:
            mock_cp(site, first)
            sluice.says("the first server works again")
            other.end(signal.SIGKILL)
            site.resource("routes.yaml", "routes:\n- " + harness.route_config("r", "b"))
            until("the first server is used", lambda: served_by(port) == "b")
        load.check()
        assert sluice.end() == 0
    return load.total()


def from_disk(api_type):
    with harness.Site() as site:
        origins = {n: site.origin(n) for n in "ab"}
        control, port = (harness.free_port() for _ in range(2))
        put_world(site, port, origins, "a")
        kept = site.folder / "last-good"
        flags = ("--last-good-config-path", kept)
        text = bootstrap(api_type, [control], "ads")
        mock = mock_cp(site, control)
        mock.says("serving on port")
        sluice = site.sluice(text, *flags)
        until("the listener accepts", lambda: served_by(port) == "a")
        # A second after the last change it is there; a later save has all four types.
        until("it is kept", lambda: kept.exists() and b"RouteConfiguration" in kept.read_bytes())
        assert sluice.end() == 0
        mock.end(signal.SIGKILL)
        site.resource("routes.yaml", "routes:\n- " + harness.route_config("r", "b"))
        address = site.folder / "admin"
        sluice = site.sluice(text, *flags, "--admin-address-path", address)
        until("it serves from disk", lambda: served_by(port) == "a")
        sluice.says("starting with the last good configuration")
        admin = int(address.read_text().rsplit(":", 1)[1])
        dump = harness.get(admin, "/config_dump").body.decode()
        assert "(last good configuration, not confirmed)" in dump, dump[:2000]
        with harness.Load(port, connections=4) as load:
            mock_cp(site, control)
            until("the control plane is back", lambda: served_by(port) == "b")
        load.check()
        until("all is confirmed", lambda: "sluice.last_good.not_confirmed: 0" in
              harness.get(admin, "/stats?filter=last_good").body.decode())
        assert sluice.end() == 0
        kept.write_bytes(kept.read_bytes()[:-1])
        sluice = site.sluice(text, *flags)
        sluice.says("the checksum is wrong")
        until("it serves all the same", lambda: served_by(port) == "b")
        assert sluice.end() == 0
    return load.total()


total = 0
for kind in ("GRPC", "DELTA_GRPC"):
    total += from_server(kind, "ads")
    total += from_server(kind, "each")
    total += from_second_server(kind)
    total += from_disk(kind)
total += from_files()
print(f"{total} requests, 0 failed")
