package console

import (
	"fmt"
	"strings"
	"time"

	"postern/core/posture"
)

const (
	chartDays  = 90
	chartLeft  = 34
	chartRight = 744
	chartTop   = 12
	chartFoot  = 172
)

// chart is the score over time, as a picture and as a table.
type chart struct {
	Title, Words string
	Line         string // of the polyline
	Points       []point
	Grid         []mark
	Days         []mark
	Rows         []point // the table, latest first
}

type point struct {
	X, Y, Score, Accounts int
	Day                   string
}

type mark struct {
	X, Y int
	Text string
}

// charted is the picture of the last days and of now; nil while there is nothing to be drawn.
func charted(days []posture.Day, now posture.Overview) *chart {
	today := now.At.UTC().Truncate(24 * time.Hour)
	first := today
	if len(days) > 0 {
		first = days[0].Day.UTC()
	}
	span := max(int(today.Sub(first)/(24*time.Hour)), 1)
	at := func(day time.Time, score int) (int, int) {
		passed := int(day.UTC().Sub(first) / (24 * time.Hour))
		return chartLeft + passed*(chartRight-chartLeft)/span, chartFoot - score*(chartFoot-chartTop)/100
	}
	made := &chart{Title: "Score of the last days"}
	add := func(day time.Time, score *int, accounts int, text string) {
		if score == nil {
			return
		}
		x, y := at(day, *score)
		made.Points = append(made.Points, point{x, y, *score, accounts, text})
	}
	for _, one := range days {
		if one.Day.UTC().Before(today) {
			add(one.Day, one.Score, one.Accounts, one.Day.UTC().Format(time.DateOnly))
		}
	}
	add(today, now.Score, now.Accounts, "now")
	if len(made.Points) == 0 {
		return nil
	}
	var line strings.Builder
	low, high := 100, 0
	for _, one := range made.Points {
		fmt.Fprintf(&line, "%d,%d ", one.X, one.Y)
		low, high = min(low, one.Score), max(high, one.Score)
	}
	made.Line = strings.TrimSpace(line.String())
	for _, score := range []int{0, 50, 100} {
		_, y := at(first, score)
		made.Grid = append(made.Grid, mark{chartLeft, y, fmt.Sprint(score)})
	}
	from, to := made.Points[0], made.Points[len(made.Points)-1]
	made.Days = []mark{{chartLeft, chartFoot + 18, first.Format("2 Jan")}, {chartRight, chartFoot + 18, "now"}}
	made.Words = fmt.Sprintf("From %d on %s to %d now; at least %d and at most %d in between, over %d days.", from.Score, from.Day, to.Score, low, high, span)
	if len(made.Points) == 1 {
		made.Words = fmt.Sprintf("%d now. Each day adds a point.", to.Score)
	}
	for i := len(made.Points) - 1; i >= 0; i-- {
		made.Rows = append(made.Rows, made.Points[i])
	}
	return made
}
