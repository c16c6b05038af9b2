// Command receipt-verifier checks receipts as docs/spec/receipt.md says, over CometBFT's own light client and types and
// the reference ICS23 module. It shares no code with dta.
//
//	receipt-verifier --trust trust.json [--now UNIX_SECONDS] [--never-released [--up-to HEIGHT]] RECEIPT...
//	receipt-verifier [--trust trust.json] --batch   receipts on standard input, one a line, in base64
//
// With --batch a line "trust BASE64" says what is trusted from there on: "ok: trusted", or the old stays.
//
// With --never-released each must prove that nobody answered a request of its order by the end of its own height, or of
// HEIGHT.
//
// It prints one line for each, "ok: ...", with the status of each record as the last header's block finds it, or "refused: step: why", and exits with 5 when one was refused.
package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
)

const exitRefused = 5

type program struct {
	trust   *trustFile
	now     time.Time
	never   bool
	upTo    int64 // with never; below 0: each receipt's own height
	out     *bufio.Writer
	allHold bool
}

func main() {
	trustPath := flag.String("trust", "", "what to take on faith")
	nowS := flag.Int64("now", time.Now().Unix(), "the time, in Unix seconds")
	batch := flag.Bool("batch", false, "read receipts from standard input, one a line, in base64")
	never := flag.Bool("never-released", false, "require that nobody answered any request of the order")
	upTo := flag.Int64("up-to", -1, "with --never-released: by the end of this height, not the receipt's")
	flag.Parse()
	run := &program{now: time.Unix(*nowS, 0), never: *never, upTo: *upTo, out: bufio.NewWriter(os.Stdout), allHold: true}
	if *trustPath != "" || !*batch {
		run.trust = trustOf(*trustPath)
	}
	var err error
	if *batch {
		err = run.batch(bufio.NewReader(os.Stdin))
	}
	for _, path := range flag.Args() {
		var content []byte
		if content, err = readBounded(path); err != nil {
			break
		}
		run.report(path+" ", content)
	}
	if flushed := run.out.Flush(); err == nil {
		err = flushed
	}
	if err != nil {
		fail(err)
	}
	if !run.allHold {
		os.Exit(exitRefused)
	}
}

func trustOf(path string) *trustFile {
	content, err := os.ReadFile(path)
	if err != nil {
		fail(err)
	}
	trust, err := readTrust(content)
	if err != nil {
		fail(err)
	}
	return trust
}

// report prints one line, whatever a library's reason or a path may hold.
func (run *program) report(name string, content []byte) {
	if run.trust == nil {
		run.refused(name, refuse("trust", "nothing is trusted yet"))
		return
	}
	held, err := verify(content, run.trust, run.now)
	if err == nil && run.never {
		upTo := run.upTo
		if upTo < 0 {
			upTo = held.height()
		}
		err = held.neverReleased(upTo)
	}
	if err != nil {
		run.refused(name, err)
		return
	}
	for _, warning := range held.warnings {
		fmt.Fprintln(os.Stderr, oneLine(name+"warning: "+warning))
	}
	said := fmt.Sprintf("%sok: %s, state of height %d%s", name, held.receipt.Kind, held.height(), run.claimed())
	fmt.Fprintln(run.out, oneLine(strings.Join(append([]string{said}, held.statuses()...), "; ")))
}

func (run *program) claimed() string {
	if !run.never {
		return ""
	}
	return ", never released (an answer that was sent but refused or dropped may have been seen)"
}

func (run *program) refused(name string, err error) {
	run.allHold = false
	fmt.Fprintln(run.out, oneLine(fmt.Sprintf("%srefused: %v", name, err)))
}

func oneLine(text string) string {
	return strings.Map(func(char rune) rune {
		if unicode.IsPrint(char) {
			return char
		}
		return ' '
	}, text)
}

// batch answers each line by a line, in order: one that is too long or no base64 is refused like any other.
func (run *program) batch(lines *bufio.Reader) error {
	most := base64.StdEncoding.EncodedLen(maxReceiptBytes + 1)
	for {
		line, tooLong, err := readLine(lines, most)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		encoded, aboutTrust := strings.CutPrefix(string(line), "trust ")
		content, decoding := base64.StdEncoding.Strict().DecodeString(encoded)
		switch {
		case tooLong:
			run.refused("", refuse("format", "it is too long"))
		case decoding != nil:
			run.refused("", refuse("format", "the line is no base64"))
		case aboutTrust:
			run.believe(content)
		default:
			run.report("", content)
		}
	}
}

func (run *program) believe(content []byte) {
	trust, err := readTrust(content)
	if err != nil {
		run.refused("", refuse("trust", "%v", err))
		return
	}
	run.trust = trust
	fmt.Fprintln(run.out, "ok: trusted")
}

// readLine reads on to the line's end, and keeps at most so many bytes of it.
func readLine(lines *bufio.Reader, most int) (line []byte, tooLong bool, err error) {
	for {
		part, err := lines.ReadSlice('\n')
		whole := err == nil
		if err == io.EOF && (len(line) > 0 || len(part) > 0) {
			whole, err = true, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, false, err
		}
		if tooLong = tooLong || len(line)+len(part) > most+1; !tooLong {
			line = append(line, part...)
		}
		if whole {
			return []byte(strings.TrimSuffix(string(line), "\n")), tooLong, nil
		}
	}
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxReceiptBytes+1))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", oneLine(err.Error()))
	os.Exit(2)
}
