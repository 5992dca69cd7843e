<?php
// Makes users of a MediaWiki, and does with them what its administrator can. Standard input: what, username, password or TOTP secret.
require_once getenv('MW_INSTALL_PATH') . '/maintenance/Maintenance.php';

use MediaWiki\Block\DatabaseBlock;
use MediaWiki\MediaWikiServices;

class PosternUser extends Maintenance {
	public function execute() {
		[$what, $name, $password] = array_pad(explode("\n", stream_get_contents(STDIN)), 3, '');
		$services = MediaWikiServices::getInstance();
		$user = $services->getUserFactory()->newFromName($name);
		$blocks = $services->getDatabaseBlockStore();
		$there = $user->getId() !== 0;
		switch ($what) {
			case 'make':
			case 'set':
				if (!$there) {
					$user->addToDatabase();
				} elseif ($what === 'make') {
					return;
				}
				$status = $user->changeAuthenticationData(['username' => $user->getName(), 'password' => $password, 'retype' => $password]);
				if (!$status->isGood()) {
					$this->fatalError($status->getMessage(false, false, 'en')->text());
				}
				break;
			case 'disable':
				$blocks->insertBlock(new DatabaseBlock([
					'address' => $user, 'by' => $services->getUserFactory()->newFromName('Harbourmaster'), 'reason' => 'Left the station', 'expiry' => 'infinity',
				]));
				break;
			case 'enable':
				$block = DatabaseBlock::newFromTarget($name);
				if ($block) {
					$blocks->deleteBlock($block);
				}
				break;
			case 'expire':
				$database = $this->getDB(DB_PRIMARY);
				$database->update('user', ['user_password_expires' => $database->timestamp(time() - 86400)], ['user_id' => $user->getId()], __METHOD__);
				break;
			case 'enrol':
				$id = $services->getCentralIdLookupFactory()->getLookup()->centralIdFromLocalUser($user);
				$keys = json_encode(['keys' => [['secret' => $password, 'scratch_tokens' => []]]]);
				$this->getDB(DB_PRIMARY)->replace('oathauth_users', 'id', ['id' => $id, 'module' => 'totp', 'data' => $keys], __METHOD__);
				break;
			default:
				$this->fatalError("nobody knows how to $what");
		}
	}
}

$maintClass = PosternUser::class;
require_once RUN_MAINTENANCE_IF_MAIN;
