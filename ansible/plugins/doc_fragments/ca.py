# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""The options of modules that run where the authorities are."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  directory:
    description: Directory of the authorities, which should be nobody else's to read.
    type: path
    required: true
  passphrase_file:
    description: File whose first line protects the authorities' keys. Without it they lie there unprotected.
    type: path
"""
