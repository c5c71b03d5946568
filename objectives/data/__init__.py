"""Where questions come from: scenes, a benchmark's official files, the hub, or the user's own file."""
