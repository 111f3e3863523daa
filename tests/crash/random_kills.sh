#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# script/crash with a few kills. Usage: random_kills.sh GENET
GENET=$1 exec ./script/crash 5 7
