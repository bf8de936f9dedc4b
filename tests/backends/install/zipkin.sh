#!/usr/bin/env bash
# Zipkin 3.6.1 and a Java to run it: 135 MB.
source "$(dirname "$0")/../installing.sh"
{ command -v java && command -v mvn; } >/dev/null || packages maven openjdk-17-jre-headless
mvn -q -B dependency:copy -Dartifact=io.zipkin:zipkin-server:3.6.1:jar:exec -DoutputDirectory="$folder"
