"""A little application with a leak: what the tests of paths and owners expect to be named."""


class Row:
    def __init__(self, number):
        self.number = number
        self.label = "row number %d of this application" % number


class Page:
    def __init__(self, rows):
        self.rows = rows


class Session:
    """Lives in a dict of a module, in a closure, in a queue of an instance."""

    __slots__ = ("user", "data")

    def __init__(self, user):
        self.user = user
        self.data = bytearray(2000)


class Worker:
    def __init__(self):
        self._queue = [Session("queued %d" % number) for number in range(20)]


CACHE = {}
SESSIONS = {}


def make_handler(count):
    buffer = [Session("closure %d" % number) for number in range(count)]

    def handler():
        return len(buffer)
    return handler


HANDLER = make_handler(30)
WORKER = Worker()


def fill(sessions):
    CACHE["k"] = Page([Row(number) for number in range(5)])
    CACHE[17] = ("a tuple", Row(17))
    for number in range(sessions):
        SESSIONS["user %d" % number] = Session("user %d" % number)
