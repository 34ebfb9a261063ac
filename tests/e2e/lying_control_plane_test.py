#!/usr/bin/env python3
"""The control plane hangs, is half-open, is slow, or lies, while requests flow: no request fails,
memory stays bounded, and within 2 s of its return the next change is in effect."""

import os
import signal
import time

import control
import harness
from harness import until

harness.need("sluice", "mock-cp", "origin")

BACK_S = 2
# The biggest message is 64 MiB: there are gRPC's slices, the message, and what the allocator has of
# the last ones in its arenas.
MOST_MIB = 448
KINDS = ("CDS", "EDS", "LDS", "RDS")
KEEPALIVE = "connection_keepalive: { interval: 0.5s, timeout: 0.5s }"


class Site(harness.Site):
    """One listener whose route goes to one of two clusters, from a control plane behind a relay."""

    def __enter__(self):
        super().__enter__()
        self.origins = [self.origin("a"), self.origin("b")]
        self.control_port, self.ingress = harness.free_port(), harness.free_port()
        self.now = 0
        for i, port in enumerate(self.origins):
            self.resource(f"c{i}.yaml", f"clusters:\n- {harness.eds_cluster(f'c{i}')}"
                          f"endpoints:\n- {harness.load_assignment(f'c{i}', port)}")
        self.resource("r.yaml", "routes:\n- " + harness.route_config("r", "c0"))
        self.resource("l.yaml",
                      f"listeners:\n- {harness.listener('in', self.ingress, harness.rds('r'))}")
        self.mock = control.Mock(self, self.control_port)
        return self

    def begin(self, port, options="", api_type="GRPC"):
        self.proxy = self.sluice(harness.ads_bootstrap(port, options, api_type),
                                 "--max-dynamic-resources", MOST_RESOURCES)
        until("the listener accepts", lambda: harness.accepts(self.ingress))

    def change(self):
        """Another route; returns what is to answer now."""
        self.now ^= 1
        self.mock.put("routes:\n- " + harness.route_config("r", f"c{self.now}"))

    def in_effect(self):
        return harness.get(self.ingress, "/").headers["x-origin"] == "ab"[self.now]

    def back(self, what, since):
        until(f"{what}: the change is in effect", self.in_effect)
        took = time.monotonic() - since
        # Where others want the processors too, it takes as much longer.
        busy = max(1.0, os.getloadavg()[0] / os.cpu_count())
        assert took < BACK_S * busy, f"{what}: {took:.2f} s until the change was in effect"
        return took

    def memory(self):
        return control.memory_mib(self.proxy)


def goes_on(load, requests=200):
    before = load.total()
    until("requests go on", lambda: load.total() > before + requests or load.failures)
    load.check()


def hangs(site, load):
    """SIGSTOP: connections stay, nothing is answered."""
    site.mock.program.process.send_signal(signal.SIGSTOP)
    try:
        goes_on(load)
        site.resource("r.yaml", "routes:\n- " + harness.route_config("r", "c1"))
        goes_on(load)
    finally:
        since = time.monotonic()
        site.mock.program.process.send_signal(signal.SIGCONT)
    site.change()
    return site.back("hung", since)


def ends_streams(site, load):
    """Streams that end, with and without an error, also at once when they are opened."""
    site.mock.good("DELETE", "/streams?status=0")
    goes_on(load)
    site.mock.fault("action=refuse&count=2")
    site.mock.good("DELETE", "/streams?status=14")
    goes_on(load)
    site.change()
    until("the change is in effect", site.in_effect)


def last_is_answered(mock, kind):
    """The last response, and so all before it: mock-cp remembers a thousand that wait, so that
    counts of answers need not be those of responses."""
    record = mock.type_record(kind)
    return record["pushed"] in (record["acked"], record["nacked"])


def met(mock, fault):
    """Whether a response met the fault; an endless one stays, with no more to come."""
    left = mock.good("GET", "/faults").get(str(fault))
    return left is None or left["count"] == 0


def lies(site, load, fault, kinds=KINDS, seconds=0.0):
    """One response of each type lies; then the control plane is honest again. Returns how long
    until it is believed."""
    longest = 0.0
    for kind in kinds:
        number = site.mock.fault(f"{fault}&type={kind}")
        site.mock.touch(kind)
        until(f"{kind}: {fault} is met", lambda n=number: met(site.mock, n))
        goes_on(load, 50)
        end = time.monotonic() + seconds
        until("the lie has lasted", lambda: time.monotonic() > end or load.failures)
        load.check()
        since = time.monotonic()
        site.mock.honest()
        if seconds:  # what is under way still has to be read and answered
            until(f"{kind}: {fault} is answered", lambda k=kind: last_is_answered(site.mock, k),
                  60)
            since = time.monotonic()
        site.change()
        longest = max(longest, site.back(f"{kind} {fault}", since))
    return longest


LIES = (
    # (fault, further arguments)
    ("action=delay&ms=500", {}),
    ("action=duplicate", {}),
    ("action=drop", {}),
    ("action=wrong_nonce", {}),
    ("action=no_nonce", {}),
    ("action=wrong_type&as=ECDS", {}),
    ("action=wrong_type&as=RDS", {"kinds": ("CDS", "EDS", "LDS")}),
    ("action=wrong_content&as=RDS", {"kinds": ("CDS", "EDS", "LDS")}),
    ("action=corrupt", {}),
    ("action=truncate", {}),
    ("action=bad", {}),
    ("action=empty", {"kinds": ("EDS", "RDS")}),
    ("action=oversize", {"kinds": ("EDS", "LDS")}),
)
# Endless responses with other resources each: incremental ones stay beside each other, up to this.
MOST_RESOURCES = 500


def test_lies(api_type):
    with Site() as site:
        site.begin(site.control_port, api_type=api_type)
        before = site.memory()
        with harness.Load(site.ingress, connections=4) as load:
            print(f"{api_type}\nhung: back after {hangs(site, load):.2f} s")
            ends_streams(site, load)
            for fault, arguments in LIES:
                took = lies(site, load, fault, **arguments)
                print(f"{fault}: back after {took:.2f} s, {site.memory():.0f} MiB", flush=True)
            took = lies(site, load, "action=endless&resources=100", seconds=0.3)
            print(f"endless: back after {took:.2f} s, {site.memory():.0f} MiB", flush=True)
            for _ in range(4):
                lies(site, load, "action=oversize", kinds=("EDS", "LDS"))
        load.check()
        most = control.memory_mib(site.proxy, "VmHWM")
        assert most < before + MOST_MIB, (before, most)
        assert site.memory() < before + MOST_MIB / 2, (before, site.memory())
        assert site.proxy.end() == 0
        print(f"{load.total()} requests, 0 failed; {before:.0f} MiB before, {most:.0f} MiB at most")


def test_half_open():
    """The network loses the connection without a word, and later lets new ones through."""
    with Site() as site, control.Relay(site.control_port) as relay:
        site.begin(relay.port, KEEPALIVE)
        with harness.Load(site.ingress, connections=4) as load:
            relay.dead.set()
            goes_on(load)
            site.change()
            goes_on(load)
            assert not site.in_effect()
            since = time.monotonic()
            relay.dead.clear()
            took = site.back("half-open", since)
            # A byte at a time is slow, not dead.
            relay.piece, relay.pace_s = 64, 0.002
            site.change()
            goes_on(load)
            until("the slow change is in effect", site.in_effect)
            relay.piece, relay.pace_s = 65536, 0
        load.check()
        assert site.proxy.end() == 0
        print(f"half-open: back after {took:.2f} s; {load.total()} requests, 0 failed")


def test_endless_message():
    """One gRPC message of 3 GiB, as far as it is taken; then the control plane comes back."""
    with Site() as site:
        site.begin(site.control_port)
        before = site.memory()
        with harness.Load(site.ingress, connections=4) as load:
            assert site.mock.program.end(signal.SIGKILL) != 0
            with control.EndlessMessage(site.control_port, 3 << 30) as liar:
                until("Sluice has had enough", lambda: liar.resets > 0 or load.failures or
                      control.memory_mib(site.proxy) > before + 1024, 60)
                goes_on(load)
            most = control.memory_mib(site.proxy, "VmHWM")
            sent = liar.sent >> 20
            since = time.monotonic()
            site.mock = control.Mock(site, site.control_port)
            site.change()
            took = site.back("endless message", since)
        load.check()
        assert most < before + MOST_MIB, (before, most, sent)
        assert site.proxy.end() == 0
        print(f"endless message: {sent} MiB of it taken, {most:.0f} MiB at most; back after "
              f"{took:.2f} s; {load.total()} requests, 0 failed")


for ads in harness.ads_types():
    test_lies(ads)
test_half_open()
test_endless_message()
