package serve

import (
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	sloggokit "github.com/tjhop/slog-gokit"
)

// NewLoggers returns the program's logger and that of [Options].ServerLogger. Both write one line per message with one ts and
// one caller.
func NewLoggers(w io.Writer, minimum, format string) (log.Logger, *slog.Logger) {
	lines := log.NewLogfmtLogger(log.NewSyncWriter(w))
	if format == "json" {
		lines = log.NewJSONLogger(log.NewSyncWriter(w))
	}
	lines = level.NewFilter(lines, level.Allow(level.ParseDefault(minimum, level.InfoValue())))
	logger := log.With(lines, "ts", log.DefaultTimestampUTC, "caller", log.DefaultCaller)
	return logger, slog.New(sloggokit.NewGoKitHandler(renameTime(withoutQuotedValues(lines)), slog.LevelDebug))
}

// renameTime puts slog's time where the others have ts.
func renameTime(next log.Logger) log.Logger {
	return log.LoggerFunc(func(keyvals ...any) error {
		renamed := make([]any, 0, len(keyvals))
		for i := 0; i+1 < len(keyvals); i += 2 {
			if t, ok := keyvals[i+1].(time.Time); ok && keyvals[i] == slog.TimeKey {
				// Behind the level, as everywhere else.
				renamed = slices.Insert(renamed, min(2, len(renamed)), any("ts"), any(t.UTC().Format(time.RFC3339Nano)))
				continue
			}
			renamed = append(renamed, keyvals[i], keyvals[i+1])
		}
		return next.Log(renamed...)
	})
}
