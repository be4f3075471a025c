"""How the app is told: `notifier` makes one call; `schedule` reads the answer and says when to call again."""
