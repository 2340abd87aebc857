// Package deploy holds what is deployed to what the program is: docker-compose.yml, the Dockerfile, the configuration they use,
// Prometheus' rules and Grafana's dashboard. No container runs here: files are read as their own tools read them, command lines
// go through the program's own flag parser, and names of metrics are those that the program exports.
package deploy
