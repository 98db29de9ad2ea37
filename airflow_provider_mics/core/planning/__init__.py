"""What should run when: crons and their ticks, the inventory of instances, and the plan of a DAG for each."""
