package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"drumlin/internal/failpoint"
)

// failpointActions are what DRUMLIN_FAILPOINTS can ask for.
func failpointActions() failpoint.Actions {
	return failpoint.Actions{"kill": killSelf, "pause": pauseSelf}
}

// killSelf ends the process as kill -9 does: nothing is flushed, nothing is given up.
func killSelf(name string) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return fmt.Errorf("failpoint %s: %w", name, err)
	}
	if err := self.Kill(); err != nil {
		return fmt.Errorf("failpoint %s: %w", name, err)
	}
	select {} // the signal is on its way
}

// pauseSelf stops the whole process, as SIGSTOP does, until it gets SIGCONT. Nothing goes past the point before that: the
// stop may reach the thread that asks for it last.
func pauseSelf(name string) error {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		return fmt.Errorf("failpoint %s: %w", name, err)
	}
	<-continued
	return nil
}
