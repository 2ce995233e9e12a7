"""What needs no namespace of bench/namespace.py."""

from namespace import routes_with_congestion


def test_every_route_gets_the_congestion_control():
    shown = ("default via 198.51.100.2 dev h0 \n"
             "10.9.0.0/30 dev v0 proto kernel scope link src 10.9.0.1 linkdown \n"
             "198.51.100.0/24 dev h0 proto kernel scope link src 198.51.100.1 congctl reno \n"
             "192.0.2.0/24 dev h0 congctl lock bbr mtu 1400 \n\n")
    assert routes_with_congestion(shown, "cubic") == [
        "route replace default via 198.51.100.2 dev h0 congctl cubic",
        "route replace 10.9.0.0/30 dev v0 proto kernel scope link src 10.9.0.1 congctl cubic",
        "route replace 198.51.100.0/24 dev h0 proto kernel scope link src 198.51.100.1 congctl cubic",
        "route replace 192.0.2.0/24 dev h0 mtu 1400 congctl cubic",
    ]


def test_no_routes():
    assert not routes_with_congestion("", "cubic")
