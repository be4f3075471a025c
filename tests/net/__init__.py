"""Emulated links: the real library in a real browser, and the real server, with a bad network between.

    python -m pytest -s tests/net                           what `make test` runs, in about a minute
    INCOMING_TEST_NET=full python -m pytest -s tests/net    `make net`: 1 Gbit/s, all engines; ten minutes

`link` forwards packets between two TUN devices, `namespaces` and `network` put one at each of two otherwise
empty network namespaces, `bare` is the yardstick, `page` the browser's side, `report` what is printed. Needs
root and /dev/net/tun; the link's arithmetic (`test_link`) is tested everywhere.
"""
