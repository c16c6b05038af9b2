package main

import "google.golang.org/protobuf/encoding/protowire"

// Made by scripts/pages.sh: the types of transaction that name an order, or a request, by their number in
// TxBody, and the number of the field that does.

var aboutOrder = map[protowire.Number]protowire.Number{33: 1, 34: 1, 35: 1, 40: 1}

var aboutRequest = map[protowire.Number]protowire.Number{36: 1, 37: 1, 38: 1, 39: 1, 64: 1, 65: 1}
