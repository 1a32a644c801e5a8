"""Starts awslambdaric as Lambda does: the task root first on the path, then the runtime's own folders, nothing else.

Run as ``python -I -S -B _launch.py TASK_ROOT RUNTIME_DIRS HANDLER``: no site-packages, no user site, no ``PYTHON*``
variables, and no bytecode written, since /var/task is read-only there.
"""

import os
import sys

task_root, runtime_dirs, handler = sys.argv[1:]
sys.path[:0] = [task_root, *runtime_dirs.split(os.pathsep)]

import site  # noqa: E402  (Lambda's interpreter has run it too; here without looking for packages)

site.setquit()
site.setcopyright()
site.sethelper()

import runpy  # noqa: E402

sys.argv = ["awslambdaric", handler]
runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
