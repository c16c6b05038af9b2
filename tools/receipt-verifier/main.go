// Command receipt-verifier checks receipts as docs/spec/receipt.md says, over CometBFT's own light client and types and
// the reference ICS23 module. It shares no code with dta.
//
//	receipt-verifier --trust trust.json [--now UNIX_SECONDS] RECEIPT...
//	receipt-verifier --trust trust.json --batch     receipts on standard input, one a line, in base64
//
// It prints a line for each, "ok" or "refused: step: why", and exits with 5 when one was refused.
package main

import (
	"bufio"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"time"
)

const exitRefused = 5

func main() {
	trustPath := flag.String("trust", "", "what to take on faith")
	nowS := flag.Int64("now", time.Now().Unix(), "the time, in Unix seconds")
	batch := flag.Bool("batch", false, "read receipts from standard input, one a line, in base64")
	flag.Parse()
	content, err := os.ReadFile(*trustPath)
	if err != nil {
		fail(err)
	}
	trust, err := readTrust(content)
	if err != nil {
		fail(err)
	}
	now, allHold := time.Unix(*nowS, 0), true
	out := bufio.NewWriter(os.Stdout)
	report := func(name string, content []byte) {
		read, warnings, err := verify(content, trust, now)
		for _, warning := range warnings {
			fmt.Fprintln(os.Stderr, "warning:", warning)
		}
		if err != nil {
			allHold = false
			fmt.Fprintf(out, "%srefused: %v\n", name, err)
			return
		}
		last := read.Blocks[len(read.Blocks)-1].Header
		fmt.Fprintf(out, "%sok: %s, state of height %d\n", name, read.Kind, last.Height-1)
	}
	if *batch {
		lines := bufio.NewScanner(os.Stdin)
		lines.Buffer(make([]byte, 1<<20), 2*maxReceiptBytes)
		for lines.Scan() {
			content, err := base64.StdEncoding.DecodeString(lines.Text())
			if err != nil {
				fail(err)
			}
			report("", content)
		}
		if err := lines.Err(); err != nil {
			fail(err)
		}
	}
	for _, path := range flag.Args() {
		content, err := os.ReadFile(path)
		if err != nil {
			fail(err)
		}
		report(path+" ", content)
	}
	out.Flush()
	if !allHold {
		os.Exit(exitRefused)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(2)
}
