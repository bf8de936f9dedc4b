#!/usr/bin/env bash
# Jaeger v2.13.0, whose module bears the tag v1.76.0: later tags lack the /v2 that a module path needs. Five minutes
# from empty caches.
source "$(dirname "$0")/../installing.sh"
go_program github.com/jaegertracing/jaeger@v1.76.0 ./cmd/jaeger 0
