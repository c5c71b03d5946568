BEGIN TRANSACTION;
CREATE TABLE himap_schema (
	version INTEGER NOT NULL, 
	applied_at DATETIME NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "himap_schema" VALUES(2,'2026-11-22 22:04:22.130364');
CREATE TABLE himap_scores (
	trial_id INTEGER NOT NULL, 
	packed BLOB NOT NULL, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES himap_trials (id)
);
INSERT INTO "himap_scores" VALUES(1,X'789C636040061FEC8DC1E0B27D28185CB507003CA50686');
CREATE TABLE himap_studies (
	id INTEGER NOT NULL, 
	model VARCHAR NOT NULL, 
	weights_digest VARCHAR NOT NULL, 
	benchmark VARCHAR NOT NULL, 
	split VARCHAR NOT NULL, 
	n_questions INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	space VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	revision BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (model, weights_digest, benchmark, split, n_questions, seed, space)
);
INSERT INTO "himap_studies" VALUES(1,'qwenvl-mini','0123456789abcdef','pope','validation',500,0,'himap-1','2026-11-22 22:04:22.156346','2026-11-22 22:04:22.178981',3);
CREATE TABLE himap_trials (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	k1 INTEGER NOT NULL, 
	r1 DOUBLE NOT NULL, 
	k2 INTEGER NOT NULL, 
	r2 DOUBLE NOT NULL, 
	phi_shallow VARCHAR NOT NULL, 
	phi_deep VARCHAR NOT NULL, 
	seed BIGINT NOT NULL, 
	image_tokens DOUBLE, 
	tokens_after_k1 DOUBLE, 
	tokens_after_k2 DOUBLE, 
	text_tokens DOUBLE, 
	paper_flops DOUBLE, 
	flops DOUBLE, 
	flops_ratio DOUBLE, 
	accuracy DOUBLE, 
	accuracy_low DOUBLE, 
	accuracy_high DOUBLE, 
	n INTEGER NOT NULL, 
	latency_ms DOUBLE, 
	latency_low_ms DOUBLE, 
	latency_high_ms DOUBLE, 
	device VARCHAR NOT NULL, 
	seconds DOUBLE, 
	"commit" VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	versions JSON NOT NULL, 
	metrics JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (study_id, number), 
	FOREIGN KEY(study_id) REFERENCES himap_studies (id)
);
INSERT INTO "himap_trials" VALUES(1,1,0,'complete','dense',1,0.0,2,0.0,'instruction','intra_column',0,144.0,144.0,144.0,31.75,2500000000.0,7000000000.0,1.0,0.861,0.827,0.889,500,12.5,12.0,13.25,'cpu',4.5,'abc1234','','study qwenvl-mini, trial 0','2026-11-22 22:04:22.166314','{"torch": "2.13.0"}','{"f1": 0.9}');
INSERT INTO "himap_trials" VALUES(2,1,1,'failed','sampler',2,50.0,8,75.0,'instruction','intra_column',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,'',NULL,'','out of memory','','2026-11-22 22:04:22.178336','{}','{}');
COMMIT;
