# SPDX-License-Identifier: Apache-2.0
# Reads an HCCL rank table (JSON, as hccl_tools.py writes it: all values are strings) and prints the number of ranks, or
# "error: ..." with exit code 1. Checked: it is JSON, version 1.0, status completed, server_count, and that rank_id runs from 0
# without gaps over all servers.
{ text = text $0 "\n" }

function fail(what) {
    if (!failed)
        print "error: " what
    failed = 1
    exit 1
}

# The next token: one of { } [ ] : , or a string with its opening quote; "" at the end.
function next_token(   c, end) {
    sub(/^[ \t\r\n]+/, "", text)
    c = substr(text, 1, 1)
    if (c == "\"") {
        if (!match(text, /^"([^"\\]|\\.)*"/))
            fail("a string has no end")
        end = RLENGTH
        c = substr(text, 1, end - 1)
        text = substr(text, end + 1)
        return c
    }
    if (c != "" && index("{}[]:,", c) == 0)
        fail("\"" substr(text, 1, 20) "\": every value of a rank table is a string, a list or an object")
    text = substr(text, 2)
    return c
}

# One value; plain ones are kept in value[path], lists count in size[path].
function parse(path, depth,   token, key, n) {
    if (depth > 16)
        fail("it is nested too deeply")
    token = next_token()
    if (substr(token, 1, 1) == "\"") {
        value[path] = substr(token, 2)
    } else if (token == "{") {
        for (n = 0; ; n++) {
            key = next_token()
            if (key == "}" && n == 0)
                return
            if (substr(key, 1, 1) != "\"" || next_token() != ":")
                fail("a key or its colon is missing")
            parse(path "/" substr(key, 2), depth + 1)
            token = next_token()
            if (token == "}")
                return
            if (token != ",")
                fail("a comma is missing")
        }
    } else if (token == "[") {
        sub(/^[ \t\r\n]+/, "", text)
        size[path] = 0
        if (substr(text, 1, 1) == "]") {
            next_token()
            return
        }
        do {
            parse(path "/" size[path]++, depth + 1)
            token = next_token()
        } while (token == ",")
        if (token != "]")
            fail("a list has no end")
    } else {
        fail("a value is missing")
    }
}

END {
    if (failed)
        exit 1
    parse("", 0)
    if (next_token() != "")
        fail("something follows the end")
    if (value["/version"] != "1.0")
        fail("version is \"" value["/version"] "\", not \"1.0\"")
    if (value["/status"] != "completed")
        fail("status is \"" value["/status"] "\", not \"completed\"")
    if (!("/server_list" in size) || value["/server_count"] != size["/server_list"] "")
        fail("server_count is \"" value["/server_count"] "\", server_list has " (size["/server_list"] + 0) " servers")
    for (s = 0; s < size["/server_list"]; s++) {
        devices = "/server_list/" s "/device"
        if (!size[devices])
            fail("server " s " has no device")
        for (d = 0; d < size[devices]; d++) {
            rank = value[devices "/" d "/rank_id"]
            if (value[devices "/" d "/device_id"] !~ /^[0-9]+$/ || rank !~ /^[0-9]+$/)
                fail("device " d " of server " s " has no device_id or no rank_id")
            if (rank in seen)
                fail("rank_id " rank " comes twice")
            seen[rank] = 1
            ranks++
        }
    }
    for (r = 0; r < ranks; r++)
        if (!(r in seen))
            fail("rank_id " r " is missing among " ranks " devices")
    print ranks
}
