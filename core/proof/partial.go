package proof

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"

	"postern/core"
)

// Partial is how far an export came that broke off.
type Partial struct {
	Header Header
	Have   int64 // the last record that is whole; 0 if there is none
	Bytes  int64 // up to its end: what is behind them comes again
}

// ReadPartial looks at the beginning of an export. Where not even one record came there is nothing to go on with,
// and Bytes is 0.
func ReadPartial(from io.Reader) (Partial, error) {
	var partial Partial
	lines := bufio.NewReaderSize(from, 256<<10)
	at, begins := int64(0), true
	var record int64 // of the line, if it is one
	for number := 0; ; {
		line, err := lines.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return partial, core.Invalid("output", "what is there of the export cannot be read").Because(err)
		}
		at += int64(len(line))
		if begins {
			text, whole := bytes.CutSuffix(line, []byte("\n"))
			if number == 0 && whole && !member(text, beginHeader, &partial.Header) {
				return partial, core.Invalid("output", "what is there is no export: give another file")
			}
			record = 0
			if rest, is := bytes.CutPrefix(line, []byte(beginRecord)); is {
				digits, _, _ := bytes.Cut(rest, []byte(","))
				record, _ = strconv.ParseInt(string(digits), 10, 64)
			}
		}
		if begins = bytes.HasSuffix(line, []byte("\n")); begins {
			number++
			if record > 0 {
				partial.Have, partial.Bytes = record, at
			}
		}
		if errors.Is(err, io.EOF) {
			return partial, nil
		}
	}
}
