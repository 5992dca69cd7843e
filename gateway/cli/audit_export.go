package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"postern/core"
	"postern/core/proof"
)

type exportAudit struct {
	reach  `embed:""`
	Output string `help:"File to write; - is standard output." short:"O" required:"" placeholder:"FILE"`
	After  int64  `help:"Begin behind this sequence: the last one of an earlier export." default:"0" placeholder:"SEQUENCE"`
	Until  int64  `help:"End with this sequence instead of the newest." default:"0" placeholder:"SEQUENCE"`
	Key    string `help:"Public keys to verify the file with once it is whole, as 'postern audit verify' takes them." placeholder:"FILE"`
}

// Help is shown by 'postern audit export --help'.
func (exportAudit) Help() string {
	return `Every event as it was hashed, with the signed checkpoints and a signed manifest, of any size. What breaks off stays in FILE.part,
and the same command goes on behind it. Once it is whole the file is verified.

  postern audit export --output acme.jsonl
  postern audit export --after 120000 --output since-then.jsonl     only what is new; 'verify --earlier' holds them together`
}

// fruitless is how often an export may break off without having come any further.
const fruitless = 5

// Run asks the gateway, as often as it takes.
func (e exportAudit) Run(ctx context.Context, terminal terminal) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	keys, err := readKeys(e.Key)
	if err != nil {
		return err
	}
	if e.Output == "-" {
		response, err := c.send(ctx, http.MethodGet, "/audit/export", e.query(proof.Partial{}), nil)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		return c.save(terminal.out, response.Body)
	}
	part, err := os.OpenFile(e.Output+".part", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return core.Invalid("--output", "%s cannot be written", e.Output).Because(err)
	}
	err = errors.Join(e.fetch(ctx, terminal, c, part), part.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(part.Name(), e.Output); err != nil {
		return core.Invalid("--output", "%s cannot be written", e.Output).Because(err)
	}
	return verifyAudit{File: e.Output}.judge(terminal, proof.Verifier{Keys: keys})
}

func (e exportAudit) query(have proof.Partial) url.Values {
	query := url.Values{}
	after, until := e.After, e.Until
	if have.Bytes > 0 {
		after, until = have.Header.After, have.Header.Until
	}
	for name, value := range map[string]int64{"after": after, "until": until, "have": have.Have} {
		if value > 0 {
			query.Set(name, strconv.FormatInt(value, 10))
		}
	}
	return query
}

// fetch fills the file up to its manifest.
func (e exportAudit) fetch(ctx context.Context, terminal terminal, c *apiClient, part *os.File) error {
	telling := newProgress(terminal)
	defer telling.end()
	furthest := int64(-1)
	for vain := 0; ; {
		have, err := resume(part)
		if err != nil {
			return err
		}
		if vain++; have.Bytes > furthest {
			furthest, vain = have.Bytes, 0
		}
		err = e.attempt(ctx, telling, c, part, have)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return core.Unavailable(0, "stopped; the same command goes on with %s", part.Name())
		case core.KindOf(err) != core.KindUnavailable:
			return err
		case vain >= fruitless:
			return core.Unavailable(0, "%s; the same command goes on with %s", core.AsError(err).Message, part.Name()).Because(core.AsError(err).Err)
		}
	}
}

// resume says how far the file came, and cuts off what is not whole.
func resume(part *os.File) (proof.Partial, error) {
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return proof.Partial{}, core.Invalid("--output", "%s cannot be read", part.Name()).Because(err)
	}
	have, err := proof.ReadPartial(part)
	if err != nil {
		return have, core.Invalid("--output", "%s: %s", part.Name(), core.AsError(err).Message)
	}
	_, err = part.Seek(have.Bytes, io.SeekStart)
	if err = errors.Join(err, part.Truncate(have.Bytes)); err != nil {
		return have, core.Invalid("--output", "%s cannot be written", part.Name()).Because(err)
	}
	return have, nil
}

// attempt adds what one answer brings.
func (e exportAudit) attempt(ctx context.Context, telling *progress, c *apiClient, part *os.File, have proof.Partial) error {
	response, err := c.send(ctx, http.MethodGet, "/audit/export", e.query(have), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	from, to := bufio.NewReaderSize(response.Body, 256<<10), bufio.NewWriterSize(part, 256<<10)
	whole, starts, records := false, true, int64(0)
	for {
		line, err := from.ReadSlice('\n')
		if starts && len(line) > 0 {
			whole = bytes.HasPrefix(line, []byte(`{"manifest":`))
			records++
		}
		if len(line) > 0 {
			starts = bytes.HasSuffix(line, []byte("\n"))
		}
		if _, failed := to.Write(line); failed != nil {
			return core.Invalid("--output", "%s cannot be written", part.Name()).Because(failed)
		}
		telling.say(fmt.Sprintf("%s behind event %d …", core.Count(int(records), "line", "lines"), have.Have))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && whole && starts:
			if err := errors.Join(to.Flush(), part.Sync()); err != nil {
				return core.Invalid("--output", "%s cannot be written", part.Name()).Because(err)
			}
			return nil
		case err != nil:
			if failed := to.Flush(); failed != nil {
				return core.Invalid("--output", "%s cannot be written", part.Name()).Because(failed)
			}
			return core.Unavailable(0, "the export of %s broke off", c.base).Because(plainly(err))
		}
	}
}

// readKeys reads public keys to trust; none without a file.
func readKeys(path string) (proof.Keys, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readGiven("--key", path, 1<<20)
	if err != nil {
		return nil, err
	}
	keys, err := proof.ParseKeys(text)
	if err != nil {
		return nil, core.Invalid("--key", "%s", core.AsError(err).Message)
	}
	return keys, nil
}

// saveText writes a short file, or prints it.
func saveText(flag, path string, terminal terminal, text []byte) error {
	if path == "-" {
		_, err := terminal.out.Write(text)
		return err
	}
	return writeWhole(flag, path, func(file io.Writer) error {
		_, err := file.Write(text)
		return err
	})
}

// openGiven opens a file, or standard input for -.
func openGiven(flag, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, core.Invalid(flag, "there is no %s", path)
	}
	if err != nil {
		return nil, core.Invalid(flag, "%s cannot be read", path).Because(err)
	}
	return file, nil
}
