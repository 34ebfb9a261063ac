"""What the tests push: two origins behind two clusters, in four types, and a bad form of each."""

import harness

KINDS = ("RDS", "EDS", "CDS", "LDS")
BAD = {
    "RDS": ("r", "routes:\n- { name: r, virtual_hosts: [ { name: x, domains: [twice] }, "
            "{ name: y, domains: [twice] } ] }\n"),
    "EDS": ("c0", "endpoints:\n- { cluster_name: c0, policy: { overprovisioning_factor: 0 } }\n"),
    "CDS": ("c1", "clusters:\n- { name: c1, type: EDS, connect_timeout: -1s, "
            f"eds_cluster_config: {{ eds_config: {harness.ADS} }} }}\n"),
    "LDS": ("in", "listeners:\n- { name: in, filter_chains: [ { filters: [ { name: nothing } ] } ] }\n"),
}


class World:
    """What is served: two origins behind two clusters, one route that goes to one of them."""

    def __init__(self, mock, origins, ingress):
        self.mock, self.origins, self.ingress = mock, origins, ingress
        self.cluster, self.swapped, self.timeout, self.server = 0, 0, 1, 0

    def text(self, kind):
        if kind == "RDS":
            return "routes:\n- " + harness.route_config("r", f"c{self.cluster}")
        if kind == "EDS":
            return "endpoints:\n" + "".join(
                f"- {harness.load_assignment(f'c{i}', self.origins[i ^ self.swapped])}"
                for i in (0, 1))
        if kind == "CDS":
            return "clusters:\n" + "".join("- " + harness.eds_cluster(f"c{i}").replace(
                "connect_timeout: 1s", f"connect_timeout: {self.timeout}s") for i in (0, 1))
        return "listeners:\n- " + harness.listener("in", self.ingress, harness.rds("r"),
                                                   f"server_name: s{self.server},")

    def advance(self, kind):
        self.cluster ^= kind == "RDS"
        self.swapped ^= kind == "EDS"
        self.timeout = self.timeout % 9 + 1 if kind == "CDS" else self.timeout
        self.server += kind == "LDS"

    def change(self, kind):
        """Returns the version."""
        self.advance(kind)
        return self.mock.put(self.text(kind))[kind]

    def in_effect(self):
        answer = harness.get(self.ingress, "/")
        return (answer.headers["x-origin"] == "ab"[self.cluster ^ self.swapped] and
                answer.headers["server"] == f"s{self.server}")
