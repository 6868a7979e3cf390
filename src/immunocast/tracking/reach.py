"""Whether anything answers at an address, known within seconds.

MLflow's own timeout is one for connecting and for answering: long enough for a slow server, it makes a machine that
is switched off cost minutes. So the connection is tried by itself first.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from immunocast.errors import ConfigError

_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
#: Time for a connection, which a kernel answers, however busy the server is.
SECONDS = 10.0


def unreachable(uri: str, seconds: float = SECONDS) -> str | None:
    """Why nothing can be reached at an address, in words; None where something answers.

    Also None where it cannot be known so: files, addresses without a host, and servers behind a proxy.

    Parameters
    ----------
    uri : address of a server or database.
    seconds : how long to wait for a connection.

    Raises
    ------
    ConfigError
        Where the port is no port.

    >>> unreachable("sqlite:////data/mlflow.db") is None
    True
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme not in _PORTS or not parts.hostname:
        return None
    if scheme in getproxies() and not proxy_bypass(parts.hostname):
        return None
    try:
        port = parts.port or _PORTS[scheme]
    except ValueError:
        place = parts.netloc.rpartition("@")[2]
        raise ConfigError(f"The port of {place}, the address of MLflow, is no number from 0 to 65535.") from None
    try:
        socket.create_connection((parts.hostname, port), timeout=seconds).close()
    except socket.gaierror:
        return f"the host name {parts.hostname!r} is unknown"
    except ConnectionRefusedError:
        return "no server answers there"
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except OSError as error:
        return error.strerror or str(error)
    return None
