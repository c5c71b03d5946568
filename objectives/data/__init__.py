"""Sources of questions: embedded scenes, a benchmark's official files, the hub, or the user's own file."""
