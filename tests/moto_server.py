"""moto's server, one request at a time: its Kinesis gives two records of one shard that are put at once one number."""

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

if __name__ == "__main__":
    emulated = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", int(sys.argv[1]), emulated, threaded=False, request_handler=MotoRequestHandler)
