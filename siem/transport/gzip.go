package transport

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"
)

var writers = sync.Pool{New: func() any {
	writer, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return writer
}}

// Gzip returns what write writes, compressed for speed.
func Gzip(write func(writer *gzip.Writer) error) ([]byte, error) {
	var compressed bytes.Buffer
	writer := writers.Get().(*gzip.Writer)
	defer writers.Put(writer)
	writer.Reset(&compressed)
	if err := write(writer); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return compressed.Bytes(), nil
}
