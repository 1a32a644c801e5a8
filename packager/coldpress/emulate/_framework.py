"""Starts functions-framework as Google's image does: the framework's packages on the path, and the function's folder.

Run as ``python -I -S -B -u _framework.py PACKAGES`` in the function's folder: no site-packages, no user site, no
``PYTHON*`` variables, and no bytecode written. Target and port are in the environment.
"""

import sys

(packages,) = sys.argv[1:]
sys.path.insert(0, packages)

import site  # noqa: E402  (without looking for packages)

site.setquit()
site.setcopyright()
site.sethelper()

import runpy  # noqa: E402

sys.argv = ["functions-framework"]
runpy.run_module("functions_framework", run_name="__main__", alter_sys=True)
