"""What all trainers share: the loop, its optimizers, schedule, guard, average and files."""
