"""Jobs: the only place in `benchmark` that talks to MLflow. Each command has a config and a function."""
