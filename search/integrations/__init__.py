"""Ray Tune and Optuna storages."""
