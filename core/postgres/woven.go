package postgres

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// mostWoven is how many inserts are made one statement at most.
const mostWoven = 4

// weave makes one statement of a batch of plain inserts, each into a table of its own, so that the
// server starts and answers one instead of several. Nothing depends on the order in which the parts are
// carried out. Any other batch is returned as it is.
func (s *statements) weave(batch *pgx.Batch) *pgx.Batch {
	parts := batch.QueuedQueries
	if len(parts) < 2 || len(parts) > mostWoven {
		return batch
	}
	var texts [mostWoven]string
	count := 0
	for i, part := range parts {
		if part.Fn != nil {
			return batch // its answer is waited for
		}
		texts[i] = part.SQL
		count += len(part.Arguments)
	}
	found, known := s.woven.Load(texts)
	if !known {
		found = woven(parts)
		if s.count.Load() < maxRemembered {
			s.woven.Store(texts, found)
			s.count.Add(1)
		}
	}
	whole := found.(string)
	if whole == "" {
		return batch
	}
	arguments := make([]any, 0, count)
	for _, part := range parts {
		arguments = append(arguments, part.Arguments...)
	}
	one := &pgx.Batch{}
	one.Queue(whole, arguments...)
	return one
}

// woven is the one statement that does what all of them do: with part1 as (…), part2 as (…) and the
// last. It is empty if there is none.
func woven(parts []*pgx.QueuedQuery) string {
	var text strings.Builder
	tables := map[string]bool{}
	before := 0
	for i, part := range parts {
		table, plain := plainInsert(part)
		if !plain || tables[table] {
			return ""
		}
		tables[table] = true
		statement := shifted(part.SQL, before)
		before += len(part.Arguments)
		switch {
		case i == len(parts)-1:
			text.WriteString(") " + statement)
		case i == 0:
			text.WriteString("with part1 as (" + statement)
		default:
			text.WriteString("), part" + strconv.Itoa(i+1) + " as (" + statement)
		}
	}
	return text.String()
}

// plainInsert is the table of a statement that inserts values, and reads nothing. Two inserts into one
// table are not plain together: which row comes first would be anybody's guess.
func plainInsert(part *pgx.QueuedQuery) (table string, plain bool) {
	rest, inserts := strings.CutPrefix(strings.TrimSpace(part.SQL), "insert into ")
	if !inserts || strings.ContainsAny(rest, `'";`) || strings.Contains(rest, "--") {
		return "", false
	}
	table, rest, _ = strings.Cut(rest, " ")
	for _, word := range []string{"select", "returning", "default values"} {
		if strings.Contains(rest, word) {
			return "", false
		}
	}
	for _, argument := range part.Arguments {
		switch argument.(type) {
		case pgx.QueryRewriter, pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
			return "", false // it tells pgx something
		}
	}
	return table, true
}

// shifted is a statement whose arguments stand behind others.
func shifted(sql string, by int) string {
	return regexp.MustCompile(`\$\d+`).ReplaceAllStringFunc(sql, func(name string) string {
		number, err := strconv.Atoi(name[1:])
		if err != nil {
			return name
		}
		return "$" + strconv.Itoa(number+by)
	})
}
