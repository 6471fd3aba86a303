"""Saving memory changes nothing that anybody can notice."""

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_mqtt_link_comes_without_http_and_email_and_they_are_there_when_asked_for() -> None:
    code = """
import sys, edge.mqtt
print("email" in sys.modules, "http.client" in sys.modules)
import urllib.request
print(urllib.request.getproxies.__module__, "http.client" in sys.modules)
from urllib.request import Request
print(Request("http://localhost/").host)
"""
    assert run(code).split() == ["False", "False", "urllib.request", "True", "localhost"]


def test_a_program_that_already_uses_http_is_left_alone() -> None:
    code = """
import urllib.request
before = urllib.request
import edge.mqtt
print(urllib.request is before, before.urlopen is urllib.request.urlopen)
"""
    assert run(code).split() == ["True", "True"]


def test_forgotten_modules_can_be_imported_again() -> None:
    code = """
import argparse, sys
from edge import lean
lean.forget("argparse")
print("argparse" in sys.modules)
import argparse
print(argparse.ArgumentParser().prog is not None)
lean.release()
"""
    assert run(code).split() == ["False", "True"]
