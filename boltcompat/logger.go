package bbolt

// This file is responsible for what is logged: opening, syncing, creating buckets and
// committing, with their errors. bbolt logs each Put and Delete too, which is not
// worth looking at the logger in each of them.

import (
	"fmt"
	"io"
	"log"
	"os"
)

// Logger is told what happens to a database.
type Logger interface {
	Debug(v ...interface{})
	Debugf(format string, v ...interface{})

	Error(v ...interface{})
	Errorf(format string, v ...interface{})

	Info(v ...interface{})
	Infof(format string, v ...interface{})

	Warning(v ...interface{})
	Warningf(format string, v ...interface{})

	Fatal(v ...interface{})
	Fatalf(format string, v ...interface{})

	Panic(v ...interface{})
	Panicf(format string, v ...interface{})
}

// discardLogger is what a database without Options.Logger has.
var discardLogger Logger = &DefaultLogger{Logger: log.New(io.Discard, "", 0)}

// Logger returns the logger of the database, which is never nil.
func (db *DB) Logger() Logger {
	if db == nil || db.logger == nil { // of a transaction that has ended
		return discardLogger
	}
	return db.logger
}

// log logs something about the database as a whole.
func (db *DB) log(format string, v ...any) {
	if lg := db.Logger(); lg != discardLogger {
		lg.Infof(format, v...)
	}
}

// logResult logs how something ended.
func (db *DB) logResult(err error, format string, v ...any) {
	lg := db.Logger()
	if lg == discardLogger {
		return
	}
	what := fmt.Sprintf(format, v...)
	if err != nil {
		lg.Errorf("%s failed: %v", what, err)
		return
	}
	lg.Debugf("%s successfully", what)
}

// DefaultLogger is a Logger that writes lines with their level in front.
type DefaultLogger struct {
	*log.Logger
	debug bool
}

// depth makes log.Logger name the caller's file, where it names any.
const depth = 3

func (l *DefaultLogger) line(level string, text string) {
	_ = l.Output(depth, level+": "+text) // there is nobody to tell
}

// EnableTimestamps puts date and time in front of each line.
func (l *DefaultLogger) EnableTimestamps() { l.SetFlags(l.Flags() | log.LstdFlags) }

// EnableDebug makes Debug and Debugf write.
func (l *DefaultLogger) EnableDebug() { l.debug = true }

// Debug writes what is of use while looking for an error.
func (l *DefaultLogger) Debug(v ...interface{}) {
	if l.debug {
		l.line("DEBUG", fmt.Sprint(v...))
	}
}

// Debugf is Debug with a format.
func (l *DefaultLogger) Debugf(format string, v ...interface{}) {
	if l.debug {
		l.line("DEBUG", fmt.Sprintf(format, v...))
	}
}

// Info writes what happens.
func (l *DefaultLogger) Info(v ...interface{}) { l.line("INFO", fmt.Sprint(v...)) }

// Infof is Info with a format.
func (l *DefaultLogger) Infof(format string, v ...interface{}) {
	l.line("INFO", fmt.Sprintf(format, v...))
}

// Error writes what has failed.
func (l *DefaultLogger) Error(v ...interface{}) { l.line("ERROR", fmt.Sprint(v...)) }

// Errorf is Error with a format.
func (l *DefaultLogger) Errorf(format string, v ...interface{}) {
	l.line("ERROR", fmt.Sprintf(format, v...))
}

// Warning writes what looks wrong.
func (l *DefaultLogger) Warning(v ...interface{}) { l.line("WARN", fmt.Sprint(v...)) }

// Warningf is Warning with a format.
func (l *DefaultLogger) Warningf(format string, v ...interface{}) {
	l.line("WARN", fmt.Sprintf(format, v...))
}

// Fatal writes why the process ends, and ends it.
func (l *DefaultLogger) Fatal(v ...interface{}) {
	l.line("FATAL", fmt.Sprint(v...))
	os.Exit(1)
}

// Fatalf is Fatal with a format.
func (l *DefaultLogger) Fatalf(format string, v ...interface{}) {
	l.line("FATAL", fmt.Sprintf(format, v...))
	os.Exit(1)
}

// Panic writes why the goroutine panics, and panics.
func (l *DefaultLogger) Panic(v ...interface{}) { l.Logger.Panic(v...) }

// Panicf is Panic with a format.
func (l *DefaultLogger) Panicf(format string, v ...interface{}) { l.Logger.Panicf(format, v...) }
