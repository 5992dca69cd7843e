package importing

// Judged says what an entry would do where there is no app yet.
func Judged(entry Entry) Outcome { return judge(entry, sitesOf(nil), true).Outcome }
