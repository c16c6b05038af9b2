// The authority's proofs and signatures, checked by another implementation in another language: Go and gnark-crypto.
// Written from docs/spec/authority.md. Exit codes: 0 all good, 1 something is not, 2 wrong use.
//
//	authority-verifier proofs FILE        every case of tests/vectors/authority/proofs.json
//	authority-verifier signatures < LINES lines of "min-sig|min-pk TAG KEY MESSAGE SIGNATURE" (hex, - for no message)
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

func main() {
	var good bool
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "proofs":
		good, err = checkProofs(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "signatures":
		good, err = checkSignatures()
	default:
		err = errors.New("usage: authority-verifier proofs FILE | signatures")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	if !good {
		os.Exit(1)
	}
}

func checkProofs(path string) (bool, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	var file struct{ Cases []proofCase }
	if err := json.Unmarshal(content, &file); err != nil {
		return false, err
	}
	good := len(file.Cases) > 0
	for _, each := range file.Cases {
		verdict := "valid"
		if err := each.verify(); err != nil {
			verdict, good = "invalid: "+err.Error(), false
		}
		fmt.Printf("%s: %s\n", each.Name, verdict)
	}
	return good, nil
}

func checkSignatures() (bool, error) {
	good := true
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 5 {
			return false, fmt.Errorf("a line has five fields, not %d", len(fields))
		}
		if fields[3] == "-" {
			fields[3] = ""
		}
		var parts [3][]byte
		for i, field := range fields[2:] {
			decoded, err := hex.DecodeString(field)
			if err != nil {
				return false, err
			}
			parts[i] = decoded
		}
		verdict := "valid"
		if err := verifySignature(fields[0], fields[1], parts[0], parts[1], parts[2]); err != nil {
			verdict, good = "invalid: "+err.Error(), false
		}
		fmt.Println(verdict)
	}
	return good, lines.Err()
}
