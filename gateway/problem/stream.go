package problem

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// Download sends a file of any size to whoever reads it, as it is made. A reader that takes nothing of it for a while is
// left; a file that cannot be finished breaks off, so that nobody takes it for a whole one.
type Download struct {
	c       *gin.Context
	control *http.ResponseController
	wait    time.Duration
	begun   bool
}

// NewDownload begins a file of a name and a media type; nothing is sent before the first byte is written. wait bounds how
// long a reader may take nothing. Its route must be without a timeout: see Options.Streams.
func NewDownload(c *gin.Context, name, kind string, wait time.Duration) *Download {
	c.Header("Content-Type", kind)
	c.Header("Content-Disposition", `attachment; filename="`+name+`"`)
	c.Header("Cache-Control", "no-store")
	control := http.NewResponseController(c.Writer)
	_ = control.SetReadDeadline(time.Time{}) // or the request ends with the time it had to come in
	return &Download{c: c, control: control, wait: wait}
}

// Write implements io.Writer.
func (d *Download) Write(text []byte) (int, error) {
	d.begun = true
	_ = d.control.SetWriteDeadline(time.Now().Add(d.wait)) // not every writer has deadlines
	return d.c.Writer.Write(text)
}

// Flush sends what was written.
func (d *Download) Flush() { _ = d.control.Flush() }

// End ends the file: as it is, or, if err says that it is not whole, with a problem while nothing is sent, and by
// breaking off afterwards.
func (d *Download) End(err error) {
	switch {
	case err == nil:
		d.c.Writer.WriteHeaderNow()
	case !d.begun:
		d.c.Writer.Header().Del("Content-Disposition")
		Write(d.c, err)
	default:
		_ = d.c.Error(err)
		panic(http.ErrAbortHandler)
	}
}
