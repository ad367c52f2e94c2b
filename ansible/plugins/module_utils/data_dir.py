# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Moves the content of a data directory to a new directory beside it. Data is never deleted."""

from __future__ import annotations

import os
import shutil
import time


def timestamp():
    """Returns the current time in UTC, for file names."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def move_data(data_dir, reason):
    """Moves the content of a data directory; the directory itself keeps its owner and mode.

    Returns the directory with the moved data, or an empty string if there was no data.
    """
    found = os.listdir(data_dir) if os.path.isdir(data_dir) else []
    if not found:
        return ""
    target = f"{data_dir}.before-{reason}-{timestamp()}"
    os.mkdir(target, 0o700)
    for name in found:
        shutil.move(os.path.join(data_dir, name), os.path.join(target, name))
    return target
