#!/usr/bin/env python3
"""A small web shop that eats its memory, as real ones do: it caches every rendered page by its whole
URL, and every visitor's URL has a tracking id of its own. Nothing is ever found again, and nothing is
ever thrown away.

It answers its own load, in this process, until it is killed. No socket is opened.

    ./scripts/memspy record -d 10 -o out.folded -- python3 examples/leaky_service.py
    ./scripts/memspy top -p "$(pgrep -f leaky_service.py)"
"""
import collections
import html
import itertools
import random
import signal
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

PRODUCTS = [{"id": number, "name": f"Lamp No. {number}", "price": 900 + 13 * number,
             "words": f"A lamp, number {number}, that lights a room of {number % 40 + 8} square metres."}
            for number in range(2000)]

Request = collections.namedtuple("Request", "url visitor")
Response = collections.namedtuple("Response", "status body")


class PageCache:
    """The leak: a cache without a limit, keyed by the whole URL."""

    def __init__(self):
        self._pages = {}

    def find(self, url):
        return self._pages.get(url)

    def store(self, url, page):
        self._pages[url] = page.encode()


class Sessions:
    """Bounded, and so no leak: the oldest visitor goes when a new one comes."""

    def __init__(self, limit):
        self._limit = limit
        self._visits = collections.OrderedDict()

    def touch(self, visitor):
        visit = self._visits.pop(visitor, None) or {"seen": 0, "basket": []}
        visit["seen"] += 1
        self._visits[visitor] = visit
        while len(self._visits) > self._limit:
            self._visits.popitem(last=False)
        return visit


class Shop:
    def __init__(self):
        self.cache = PageCache()
        self.sessions = Sessions(limit=500)
        self.routes = {"/search": self.search, "/product": self.product, "/health": self.health}

    def handle(self, request):
        """What a framework does: find the view, call it, answer."""
        address = urlsplit(request.url)
        visit = self.sessions.touch(request.visitor)
        view = self.routes.get(address.path)
        if view is None:
            return Response(404, b"no such page")
        return view(request, parse_qs(address.query), visit)

    def search(self, request, query, visit):
        page = self.cache.find(request.url)
        if page is None:
            found = self.find_products(query.get("q", [""])[0])
            self.cache.store(request.url, self.render_list(found, visit))
            page = self.cache.find(request.url)
        return Response(200, page)

    def product(self, request, query, visit):
        product = PRODUCTS[int(query["id"][0]) % len(PRODUCTS)]
        visit["basket"] = (visit["basket"] + [product["id"]])[-5:]
        return Response(200, self.render_product(product).encode())

    def health(self, request, query, visit):
        return Response(200, b"ok")

    def find_products(self, text):
        start = sum(text.encode()) * 7 % len(PRODUCTS)
        return PRODUCTS[start:start + 60]

    def render_list(self, products, visit):
        rows = "".join(self.render_product(product) for product in products)
        return f"<html><body><p>Visit {visit['seen']}</p><ul>{rows}</ul></body></html>"

    def render_product(self, product):
        return (f"<li><a href='/product?id={product['id']}'>{html.escape(product['name'])}</a> "
                f"{product['price'] / 100:.2f} <small>{html.escape(product['words'])}</small></li>")


class Load(threading.Thread):
    """Visitors: some search, some look at a product, a probe asks for the health."""

    def __init__(self, shop, seed, requests_per_second):
        super().__init__(name=f"visitors-{seed}", daemon=True)
        self.shop = shop
        self.random = random.Random(seed)
        self.pause = 1 / requests_per_second

    def run(self):
        for number in itertools.count():
            self.shop.handle(self.next_request(number))
            time.sleep(self.random.expovariate(1 / self.pause))

    def next_request(self, number):
        visitor = self.random.randrange(5000)
        if number % 50 == 0:
            return Request("/health", "probe")
        if self.random.random() < 0.4:
            return Request(f"/product?id={self.random.randrange(2000)}", visitor)
        word = self.random.choice(["lamp", "desk", "floor", "garden", "wall"])
        return Request(f"/search?q={word}&utm_id={self.random.getrandbits(64):x}", visitor)


def main():
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    shop = Shop()
    for seed in range(4):
        Load(shop, seed, requests_per_second=150).start()
    print("leaky_service: serving its own visitors; end it with Ctrl-C", file=sys.stderr, flush=True)
    stop.wait()


if __name__ == "__main__":
    main()
