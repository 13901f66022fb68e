"""Runs JupyterLab (or, with the first argument "notebook", Jupyter Notebook 7) and ends it when standard input ends.

The caller holds the other end of that pipe: however it goes away, also killed, the server and its kernels end with it.
"""

import os
import signal
import sys
import threading


def end_with_the_caller():
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_caller, daemon=True).start()
    if sys.argv[1:2] == ["notebook"]:
        del sys.argv[1]
        from notebook.app import main
    else:
        from jupyterlab.labapp import main
    sys.exit(main())
