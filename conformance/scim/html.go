package scim

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
)

//go:embed report.html
var page string

// WriteHTML writes the report as one page that needs nothing else: no script, no picture, no font. It
// follows the reader's choice of light or dark.
func (r Report) WriteHTML(w io.Writer) error {
	parsed, err := template.New("report").Funcs(template.FuncMap{
		"json": indented, "headers": headerLines, "status": func(status int) string { return http.StatusText(status) },
		"share": func(part, whole int) float64 { return 100 * float64(part) / float64(max(1, whole)) },
		"marks": func() map[Outcome]string {
			return map[Outcome]string{Passed: "✓", Failed: "✗", Warned: "!", Skipped: "–"}
		},
	}).Parse(page)
	if err != nil {
		return err
	}
	return parsed.Execute(w, r)
}

// indented is a body for reading; what is no JSON stays as it is.
func indented(body string) string {
	var out bytes.Buffer
	if json.Indent(&out, []byte(body), "", "  ") != nil {
		return body
	}
	return out.String()
}

func headerLines(header map[string]string) string {
	var lines []string
	for name, value := range header {
		lines = append(lines, name+": "+value)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
