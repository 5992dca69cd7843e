package activity

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"postern/core/proof"
	"postern/gateway/problem"
)

// HandExport answers a request with a log as anybody can verify it. What goes wrong before its first byte is a
// problem; after that the connection is dropped, and without its manifest nobody takes a part for the whole.
func HandExport(c *gin.Context, export proof.Export, closing <-chan struct{}) {
	out := sender{http.NewResponseController(c.Writer), c.Writer}
	began := false
	for page, err := range export.Pages(c.Request.Context()) {
		if err != nil && !began {
			problem.Write(c, err)
			return
		}
		if !began {
			began = true
			header := c.Writer.Header()
			header.Set("Content-Type", JSONL.ContentType())
			header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%s.jsonl"`, export.Now.UTC().Format("20060102T150405Z")))
			header.Set("Cache-Control", "no-store")
			header.Set("X-Accel-Buffering", "no")
			c.Writer.WriteHeader(http.StatusOK)
		}
		if err == nil {
			err = out.send(string(page))
		}
		select {
		case <-closing:
			err = errors.Join(err, errors.New("the process stops"))
		default:
		}
		if err != nil {
			_ = c.Error(err)
			panic(http.ErrAbortHandler)
		}
	}
}
